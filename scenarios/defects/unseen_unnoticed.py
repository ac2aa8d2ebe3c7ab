"""/health/imports counts the deliveries that are not sent; that a due reminder has none at all it does not see."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="unseen_unnoticed",
    title="due reminders that nothing has looked at are no problem",
    plants=("unseen_unnoticed",),
    nets_removed=("overdue reminders without a delivery told by health",),
)
