"""What phones try and must not get away with: guessed codes, forged tokens, an operator's work, a key used again.

And the last try that one who mistypes a code still has.
"""

from __future__ import annotations

from harness.devices import queries
from harness.devices.caller import Call, Caller, Result
from harness.devices.phone import OpenBatch, Phone, start_variables
from harness.devices.types import SAMPLE_TYPES
from harness.ledger import Outcome

# The app's CODE_ATTEMPTS; the lab keeps its own copy.
CODE_ATTEMPTS = 5
_CODES = 10**6
_NO_CODE = "000000"
"""One in a million is; a visitor's own is used up before this is tried."""


def guess_codes(caller: Caller, *, replicas: tuple[str, ...]) -> None:
    """Make two codes, then try the first and wrong ones, on one replica after another, until the tries are used up.

    None of them may work, and then the right one may not either. All of it is noted as facts, for the checker.
    """
    made = [_request(caller), _request(caller)]
    if None in made:
        return
    earlier, code = str(made[0]), str(made[1])
    tries = [(earlier, "earlier")] if earlier != code else []
    tries += [(f"{(int(code) + number) % _CODES:06d}", "guess") for number in range(1, CODE_ATTEMPTS + 1)]
    for turn, (tried, use) in enumerate([*tries, (code, "spent")]):
        _try(caller, tried, use=use, replica=replicas[turn % len(replicas)] if replicas else None)


def mistype_code(caller: Caller, *, replicas: tuple[str, ...]) -> None:
    """Make a code, get it wrong as often as one may, and right with the last try: it works.

    Unless a try was not answered at once: then nobody knows how many were counted, and the right one is left out.
    """
    code = _request(caller)
    if code is None:
        return
    for number in range(1, CODE_ATTEMPTS):
        wrong = f"{(int(code) + number) % _CODES:06d}"
        tried = _try(caller, wrong, use="guess", replica=replicas[number % len(replicas)] if replicas else None)
        if tried.outcome is not Outcome.OK or tried.attempts > 1:
            return
    _try(caller, code, use="last", replica=replicas[0] if replicas else None, is_right=True)


def try_wrong_code(caller: Caller, *, replica: str) -> None:
    """Try a code that nobody was given; it may not work."""
    _try(caller, _NO_CODE, use="guess", replica=replica)


def _try(caller: Caller, code: str, *, use: str, replica: str | None, is_right: bool = False) -> Result:
    return caller.make(
        Call(
            kind="verify_code",
            query=queries.VERIFY_CODE,
            variables={"code": code},
            pin=replica,
            facts={"made_on": None, "expected": is_right, "use": use},
        ),
        facts_of=lambda data: {"ok": data["verifyCode"]["ok"]},
    )


def _request(caller: Caller) -> str | None:
    """A fresh code, noted, so that the logs can be searched for it; None without an answer."""
    made = caller.make(
        Call(kind="request_code", query=queries.REQUEST_CODE, variables={}),
        facts_of=lambda data: {"code": data["requestVerificationCode"]["code"]},
    )
    return None if made.data is None else str(made.data["requestVerificationCode"]["code"])


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
