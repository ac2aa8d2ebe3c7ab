"""Sweeping hangs on beat alone: while nobody leads, what a dead worker held is found by nobody."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="swept_by_beat_only",
    title="workers do not sweep by themselves, and messages come back only after an hour",
    plants=("swept_by_beat_only",),
    env={"VISIBILITY_TIMEOUT_S": "3600"},
    nets_removed=("sweeper in every worker", "redelivery within the run"),
)
