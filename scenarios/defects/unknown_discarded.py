"""A message of a task that the worker does not know is dropped."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="unknown_discarded",
    title="messages of unknown tasks are discarded, as Celery does",
    plants=("unknown_discarded",),
    nets_removed=("dead letters of unknown tasks",),
)
