"""Times are taken in any order."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="order_unchecked",
    title="the order of times is not checked",
    plants=("order_unchecked",),
    nets_removed=("check of the order of times",),
)
