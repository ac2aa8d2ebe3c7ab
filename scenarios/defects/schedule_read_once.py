"""Beat reads its entries when it begins to lead."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="schedule_read_once",
    title="edits of the schedule wait for the next leader",
    plants=("schedule_read_once",),
    nets_removed=("entries read in every loop",),
)
