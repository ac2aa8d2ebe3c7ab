"""A request that the gateway will never take is sent again and again."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="refusal_retried",
    title="every refusal of the gateway is taken for a passing one",
    plants=("refusal_retried",),
    nets_removed=("refusals that end a reminder",),
)
