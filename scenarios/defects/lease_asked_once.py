"""The lease is asked for once: a beat that has led goes on leading."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="lease_asked_once",
    title="beat asks for its lease only when it starts to lead, and publishes what is due by its own memory",
    plants=("lease_asked_once",),
    nets_removed=(
        "renewal decides who leads",
        "the holder's own deadline",
        "the lease in the statement that claims a tick",
        "a tick's row decides who publishes it",
    ),
)
