"""One beat and nobody to take over."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_standby",
    title="a single beat without a standby",
    replicas={"beat": 1},
    nets_removed=("standby beat",),
)
