"""Whoever gets a message of a reminder sends it."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="reminder_claim_shared",
    title="a reminder that somebody is sending can be claimed again",
    plants=("reminder_claim_shared",),
    nets_removed=("exclusive claim of a delivery",),
)
