"""A re-driven batch ends when the first of its chunks is done."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="batch_redrive_counts_one",
    title="a batch that is re-driven awaits one chunk, however many were put back",
    plants=("batch_redrive_counts_one",),
    nets_removed=("a batch that awaits each of its chunks",),
)
