"""Postgres never looks whether a waiting backend's client is still there."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_client_check",
    title="backends of dead clients wait on",
    plants=("no_client_check",),
    nets_removed=("client_connection_check_interval",),
)
