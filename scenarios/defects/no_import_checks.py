"""Nobody looks whether work moves."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="no_import_checks",
    title="/health/imports looks at neither broker nor rows",
    plants=("no_import_checks",),
    nets_removed=("overdue work", "routed queue without consumer", "overdue message"),
)
