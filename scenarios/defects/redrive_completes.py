"""An abandoned batch whose given-up chunks are re-driven counts as whole."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="redrive_completes",
    title="a re-drive makes any batch one that is being imported",
    plants=("redrive_completes",),
    nets_removed=("ABANDONED as a last word",),
)
