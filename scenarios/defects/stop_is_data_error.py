"""A chunk whose worker was told to stop counts an error of its data."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="stop_is_data_error",
    title="told to stop counts against the chunk",
    plants=("stop_is_data_error",),
    nets_removed=("a counter of its own for being told to stop",),
)
