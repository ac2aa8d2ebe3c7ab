"""An upload that was left unfinished stays PENDING for ever."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="never_abandoned",
    title="nobody gives up an unfinished upload",
    plants=("never_abandoned",),
    nets_removed=("sweep for stale uploads",),
)
