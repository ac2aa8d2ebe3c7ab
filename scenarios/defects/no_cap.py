"""A chunk that loses its holder is run again without end."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_cap",
    title="interruptions are counted, and end nothing",
    plants=("no_cap",),
    nets_removed=("cap on interruptions",),
)
