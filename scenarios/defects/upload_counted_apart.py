"""An uploaded chunk is counted in its batch in a statement of its own."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="upload_counted_apart",
    title="an upload keeps its samples first and counts them afterwards",
    plants=("upload_counted_apart",),
    nets_removed=("insert and count in one statement",),
)
