"""Rejected samples are imported after all, and their days keep their figures."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="reimport_without_recompute",
    title="a re-drive of rejected samples recomputes no day",
    plants=("reimport_without_recompute",),
    nets_removed=("aggregates in the transaction of their records",),
)
