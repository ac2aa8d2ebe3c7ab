"""State and data are committed apart: a chunk counts as done before its records are there."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="done_before_written",
    title="a chunk is marked DONE in one transaction and written in a second one",
    plants=("done_before_written",),
    nets_removed=(
        "one transaction for state, records and counters",
        "claim that outlives the crash, and so the sweeper",
    ),
)
