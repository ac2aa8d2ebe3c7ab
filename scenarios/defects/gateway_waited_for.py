"""Reminders are sent without a timeout, which is urllib's own default: none."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="gateway_waited_for",
    title="whoever sends a reminder waits for the gateway for ever",
    plants=("gateway_waited_for",),
    nets_removed=("a timeout for every step of a request to the gateway",),
)
