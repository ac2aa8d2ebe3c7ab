"""Early ack and no sweeper: a message is gone as soon as a child has it."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="early_ack",
    title="messages are acked on receipt, a stop is cut short, and nothing sweeps",
    plants=("early_ack", "no_sweeper"),
    nets_removed=("late ack", "requeue on worker lost", "sweeper", "stop timeout above a chunk"),
    stop_timeout_s=0.3,
)
