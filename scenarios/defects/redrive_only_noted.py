"""A re-drive says that it put the chunk back, and resets nothing."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="redrive_only_noted",
    title="a re-drive leaves an audit row and nothing else",
    plants=("redrive_only_noted",),
    nets_removed=("reset of given-up chunks",),
)
