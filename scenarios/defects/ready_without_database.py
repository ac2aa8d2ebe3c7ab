"""Readiness only notes that the database is away."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="ready_without_database",
    title="ready whatever the database says",
    plants=("ready_without_database",),
    nets_removed=("readiness that asks the database",),
)
