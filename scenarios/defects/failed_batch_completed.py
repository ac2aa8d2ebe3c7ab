"""A batch of which nothing could be imported is reported as COMPLETED."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="failed_batch_completed",
    title="a batch ends COMPLETED, whatever became of its chunks",
    plants=("failed_batch_completed",),
    nets_removed=("FAILED batches",),
)
