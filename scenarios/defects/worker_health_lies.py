"""A worker is fit as long as there is a heartbeat, however old."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="worker_health_lies",
    title="the worker's health check asks for a heartbeat, not for its age",
    plants=("worker_health_lies",),
    nets_removed=("the age of the heartbeat",),
)
