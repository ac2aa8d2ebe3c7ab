"""A reminder counts as sent when the page to which the gateway redirects answers."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="redirect_is_sent",
    title="redirects of the gateway are followed, with a GET",
    plants=("redirect_is_sent",),
    nets_removed=("redirects that are no answer",),
)
