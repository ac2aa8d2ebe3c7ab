"""A socket timeout below the latency, and no sweeper."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="impatient_no_sweeper",
    title="0.35 s for an answer of Redis, publishing is tried for 0.4 s, and nothing sweeps",
    plants=("no_sweeper",),
    env={"BROKER_READ_TIMEOUT_S": "0.35", "PUBLISH_BOUND_S": "0.4"},
    nets_removed=("socket timeout above the latency", "sweeper"),
)
