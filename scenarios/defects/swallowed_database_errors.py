"""Database errors are swallowed: the task "succeeds", its message is gone, and nobody comes back."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="swallowed_database_errors",
    title="an import that loses the database ends as a success, and nothing sweeps",
    plants=("swallowed_database_errors", "no_sweeper"),
    nets_removed=("retry after infrastructure errors", "claim given back", "dispatch of the next chunk", "sweeper"),
)
