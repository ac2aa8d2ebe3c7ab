"""No sweeper: what a lost message was about is never dispatched again."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_sweeper",
    title="the sweeper is off, and messages come back only after an hour",
    plants=("no_sweeper",),
    env={"VISIBILITY_TIMEOUT_S": "3600"},
    nets_removed=("sweeper in every worker", "sweep task of beat", "redelivery within the run"),
)
