"""reject_on_worker_lost off and no sweeper: the message of a lost child is acked as failed."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_requeue",
    title="a lost child's message is acked, and nothing sweeps",
    plants=("no_requeue", "no_sweeper"),
    nets_removed=("requeue on worker lost", "sweeper"),
)
