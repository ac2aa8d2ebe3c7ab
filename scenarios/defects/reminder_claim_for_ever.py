"""Only whoever claimed a reminder can let it go, and the dead let nothing go."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="reminder_claim_for_ever",
    title="a claim of a reminder has no end of its own",
    plants=("reminder_claim_for_ever",),
    nets_removed=("the time after which a claim of a reminder is over",),
)
