"""The chunks of a batch that FAILED are put back into a batch that has ended."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="failed_stays_failed",
    title="a re-drive forgets batches that FAILED",
    plants=("failed_stays_failed",),
    nets_removed=("a FAILED batch that is open again",),
)
