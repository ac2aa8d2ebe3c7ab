"""An entry of the schedule that cannot be read is left out, and nobody hears of it."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="unreadable_skipped",
    title="entries of the schedule that cannot be read are skipped in silence",
    plants=("unreadable_skipped",),
    nets_removed=("unreadable entries told by log and health",),
)
