"""gunicorn's own answer to a body that does not come: its thread waits."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="body_waited_for",
    title="whoever reads a body waits for the rest for ever",
    plants=("body_waited_for",),
    nets_removed=("a bound on the silence of a connection",),
)
