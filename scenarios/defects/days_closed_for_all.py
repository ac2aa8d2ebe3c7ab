"""The clean-up of one user closes days of everybody."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="days_closed_for_all",
    title="retention closes a day of a type, whoever's",
    plants=("days_closed_for_all",),
    nets_removed=("days closed for their own user",),
)
