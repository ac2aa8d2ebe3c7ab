"""Whatever an import raises is swallowed, and the chunk is DONE."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="data_errors_swallowed",
    title="an import that raises is marked DONE with nothing imported",
    plants=("data_errors_swallowed",),
    nets_removed=("retries after data errors", "FAILED for good", "dead letter"),
)
