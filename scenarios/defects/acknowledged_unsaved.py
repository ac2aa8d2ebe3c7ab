"""An upload is acknowledged although Postgres refused it."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="acknowledged_unsaved",
    title="uploadChunk answers OK although the database did not take the samples",
    plants=("acknowledged_unsaved",),
    nets_removed=("503 when the database refuses", "the phone's own retry"),
)
