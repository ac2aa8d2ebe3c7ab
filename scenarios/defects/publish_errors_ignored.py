"""A message that the broker refused counts as sent, and nothing sweeps."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="publish_errors_ignored",
    title="`except: pass` around publishing, and no sweeper",
    plants=("publish_errors_ignored", "no_sweeper"),
    nets_removed=("what a refused publish tells its caller", "log line of a refused publish", "sweeper"),
)
