"""django-celery-beat's own scheduler."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="stock_beat",
    title="the stock DatabaseScheduler: no lease, no ticks",
    plants=("stock_beat",),
    nets_removed=("beat's lease", "tick rows", "health checks that ask for them"),
)
