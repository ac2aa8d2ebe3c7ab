"""What phones try and must not get away with: forged tokens, an operator's work, a key used again."""

from __future__ import annotations

from harness.devices import queries
from harness.devices.caller import Call, Caller
from harness.devices.phone import OpenBatch, Phone, start_variables
from harness.devices.types import SAMPLE_TYPES

MOST_CHUNKS = 10_000
"""The app's MAX_CHUNKS_PER_BATCH, which none of these imports comes near; the lab keeps its own copy."""


def ask_with_forged_token(phone: Phone, *, batch: OpenBatch) -> None:
    """Ask with tokens that nobody was given, one of them the own one but for a character: 401."""
    token = phone.caller.token
    if token is None:
        return
    for forged in ("nobody", ("B" if token.startswith("A") else "A") + token[1:]):
        phone.caller.token = forged
        phone.caller.make(
            Call("forged_progress", queries.PROGRESS, {"batch": batch.batch_id}, refusal="UNAUTHENTICATED")
        )
    phone.caller.token = token


def redrive_as_nobody(caller: Caller, *, batch: OpenBatch) -> None:
    """Do an operator's work without an operator's token, and with a wrong one: 401."""
    variables = {"kind": "BATCH", "target": batch.batch_id}
    for headers in ({}, {"X-Operator-Token": "nobody"}):
        caller.make(
            Call("forged_redrive", queries.REDRIVE, variables, refusal="UNAUTHENTICATED", headers=headers),
        )


def start_another(caller: Caller, *, batch: OpenBatch) -> None:
    """Start something else under the key of an import, one change at a time: 409."""
    plan = batch.plan
    other = next(kind.identifier for kind in SAMPLE_TYPES if kind.identifier != plan.type)
    changes: tuple[dict[str, int | str], ...] = (
        {"count": len(plan.chunks) + 1},
        {"count": MOST_CHUNKS},
        {"to": f"{plan.new_anchor}/other"},
        {"from": f"{plan.key}/other"},
        {"type": other},
    )
    for change in changes:
        caller.make(
            Call(
                kind="other_import",
                query=queries.START_IMPORT,
                variables={**start_variables(plan), **change},
                refusal="CONFLICT",
                batch_key=plan.key,
                batch=batch.batch_id,
                facts={"changed": next(iter(change))},
            )
        )
