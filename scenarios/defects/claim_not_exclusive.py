"""W14: the claim of a chunk does not ask whether it is claimed."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="claim_not_exclusive",
    title="a chunk that is claimed may be claimed again: whoever comes last has it",
    plants=("claim_not_exclusive",),
    nets_removed=(
        "claim only what is free",
        "one claim a slot; the lock in Redis lives for one sweep and is gone by then",
    ),
)
