"""A chunk is given up after a few losses of the database."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="outage_fails_chunks",
    title="the loss of a store counts against the chunk that was at work",
    plants=("outage_fails_chunks",),
    nets_removed=("retries without a cap for infrastructure errors",),
)
