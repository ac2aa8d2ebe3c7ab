"""A legacy variable of one service is read by all."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="compass_everywhere",
    title="COMPASS_DB_USER is read by every service",
    plants=("compass_everywhere",),
    nets_removed=("requirement by service",),
)
