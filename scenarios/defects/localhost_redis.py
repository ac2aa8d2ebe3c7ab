"""REDIS_URL falls back to localhost."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="localhost_redis",
    title="REDIS_URL defaults to redis://localhost:6379/0",
    plants=("localhost_redis",),
    nets_removed=("check of required variables",),
)
