"""Production starts with settings that are fit for development."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="insecure_unchecked",
    title="insecure settings are not refused in production",
    plants=("insecure_unchecked",),
    nets_removed=("check of production settings",),
)
