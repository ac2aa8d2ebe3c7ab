"""Retention removes fingerprints with their records, and closes no day."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="fingerprints_deleted",
    title="the clean-up deletes fingerprints too and leaves days open",
    plants=("fingerprints_deleted",),
    nets_removed=("fingerprints outlive records", "closed days"),
)
