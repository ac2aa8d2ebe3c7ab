"""Re-driving one chunk closes the dead letters of all."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="redrive_silences_all",
    title="a re-drive notes every dead letter as dealt with",
    plants=("redrive_silences_all",),
    nets_removed=("dead letters closed with their own chunk",),
)
