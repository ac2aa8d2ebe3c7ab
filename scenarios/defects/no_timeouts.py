"""No timeout on anything that talks to Redis."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_timeouts",
    title="no socket timeout towards Redis, publishing without a bound",
    plants=("no_timeouts",),
    nets_removed=("socket timeouts", "publish bound", "watch on silent polls"),
)
