"""Each process reads a type's row once."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="types_cached",
    title="what a process knows of a type it knows for ever",
    plants=("types_cached",),
    nets_removed=("types read with every claim",),
)
