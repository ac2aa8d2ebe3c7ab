"""Nobody counts a device's requests."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="rate_limit_off",
    title="no rate limit for devices",
    plants=("rate_limit_off",),
    nets_removed=("rate limit",),
)
