"""No timeout on anything that talks to Redis, and no sweeper."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_timeouts_no_sweeper",
    title="no socket timeout towards Redis, and nothing sweeps",
    plants=("no_timeouts", "no_sweeper"),
    nets_removed=("socket timeouts", "publish bound", "watch on silent polls", "sweeper"),
)
