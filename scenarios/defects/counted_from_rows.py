"""An upload is counted by the chunks that its statement sees."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="counted_from_rows",
    title="each upload counts the chunks that were committed before it, and itself",
    plants=("counted_from_rows",),
    nets_removed=("a counter in the batch's locked row",),
)
