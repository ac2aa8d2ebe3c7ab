"""A required variable has got a default."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="optional_app_env",
    title="APP_ENV defaults to dev",
    plants=("optional_app_env",),
    nets_removed=("check of required variables",),
)
