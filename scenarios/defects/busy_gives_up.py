"""A gateway that asks for patience is taken for one that refuses."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="busy_gives_up",
    title="429 from the gateway ends the reminder",
    plants=("busy_gives_up",),
    nets_removed=("retries after 429",),
)
