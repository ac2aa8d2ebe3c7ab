"""W10: Postgres waits for ever for a client that went silent inside a transaction."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_idle_timeout",
    title="nobody ends the transaction of a holder that says nothing more, and with it the locks that others need",
    plants=("no_idle_timeout",),
    nets_removed=(
        "server-side idle-in-transaction timeout",
        "server-side transaction timeout",
    ),
)
