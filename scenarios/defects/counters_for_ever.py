"""The counters of the rate limit stay in Redis for ever."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="counters_for_ever",
    title="counters of the rate limit have no expiry",
    plants=("counters_for_ever",),
    nets_removed=("an expiry for each counter",),
    wrong_without_fault=True,
)
