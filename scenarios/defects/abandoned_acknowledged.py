"""What comes for an abandoned upload is acknowledged, and kept nowhere."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="abandoned_acknowledged",
    title="a chunk for an upload that was given up is acknowledged",
    plants=("abandoned_acknowledged",),
    nets_removed=("refusal of chunks for ended uploads",),
)
