"""Verification codes are kept without a limit of time."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="codes_live_for_ever",
    title="verification codes never expire",
    plants=("codes_live_for_ever",),
    nets_removed=("life of a code",),
    wrong_without_fault=True,
)
