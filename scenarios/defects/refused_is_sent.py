"""A reminder that the gateway did not take counts as sent."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="refused_is_sent",
    title="whatever the gateway answers, the reminder is marked as sent",
    plants=("refused_is_sent",),
    nets_removed=("retry of refused reminders", "overdue reminders in /health/imports"),
)
