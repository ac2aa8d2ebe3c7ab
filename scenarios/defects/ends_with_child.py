"""A worker that does not outlive its pool children."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="ends_with_child",
    title="the worker's main process ends when it loses a pool child",
    plants=("ends_with_child",),
    nets_removed=("a main process that outlives its children",),
)
