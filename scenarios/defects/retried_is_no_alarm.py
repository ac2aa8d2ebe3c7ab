"""Imports that are tried again for ever are never overdue."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="retried_is_no_alarm",
    title="an import that waits for its next try is not overdue, whatever it is tried again for",
    plants=("retried_is_no_alarm",),
    nets_removed=("retries for want of a store that count as standing still",),
)
