"""A worker that never consumes again once it has lost the broker."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="deaf_worker",
    title="after a lost connection the worker is alive, connected and deaf",
    plants=("deaf_after_loss",),
    nets_removed=("consumer started anew on reconnect",),
)
