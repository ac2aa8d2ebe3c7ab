"""A batch's counters are changed in a transaction of their own."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="counted_apart",
    title="a finished chunk is counted in its batch after its import is committed",
    plants=("counted_apart",),
    nets_removed=("counters in the import's transaction",),
)
