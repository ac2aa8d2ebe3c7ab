"""Nobody who waits for Postgres has a bound of his own."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_database_timeouts",
    title="no bound on connecting to Postgres, on an answer of it, or on asking a kept connection",
    plants=("no_database_timeouts",),
    nets_removed=("connect timeout", "bound on every answer", "bound on the health check of kept connections"),
)
