"""W12: no time limits, and no end of transactions whose client says nothing more."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_time_limits",
    title="tasks have no time limit, and Postgres waits for ever for a client that went silent inside a transaction",
    plants=("no_time_limits", "no_idle_timeout"),
    nets_removed=(
        "soft time limit",
        "hard time limit",
        "server-side idle-in-transaction timeout",
        "server-side transaction timeout",
    ),
)
