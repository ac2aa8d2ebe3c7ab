"""Each process remembers whose token it has seen."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="token_remembered",
    title="a token that was revoked goes on working where it was used",
    plants=("token_remembered",),
    nets_removed=("tokens looked up with every request",),
)
