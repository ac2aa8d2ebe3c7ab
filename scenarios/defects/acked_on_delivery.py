"""Messages are acked when they are delivered."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="acked_on_delivery",
    title="acked before the work",
    plants=("acked_on_delivery",),
    nets_removed=("late acks",),
)
