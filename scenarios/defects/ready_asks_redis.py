"""Readiness asks Redis as well."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="ready_asks_redis",
    title="not ready without Redis",
    plants=("ready_asks_redis",),
    nets_removed=("readiness of the database alone",),
)
