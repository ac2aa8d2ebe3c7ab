"""An upload is given up so long after it was begun, though it goes on."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="slow_abandoned",
    title="uploads are given up by their age, not by their silence",
    plants=("slow_abandoned",),
    nets_removed=("time since an upload last moved",),
    wrong_without_fault=True,
)
