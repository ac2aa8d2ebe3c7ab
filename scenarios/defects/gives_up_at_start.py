"""A worker that finds no broker when it starts ends, instead of waiting for it."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="gives_up_at_start",
    title="a worker that finds no broker at its start does not try again",
    plants=("gives_up_at_start",),
    nets_removed=("retries of the first connection",),
)
