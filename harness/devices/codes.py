"""Verification codes: used across replicas, guessed, mistyped. Whether one may work is noted, for the checker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from harness.devices import queries
from harness.devices.caller import Call, Caller, Result
from harness.ledger import Outcome

# The app's CODE_ATTEMPTS; the lab keeps its own copy.
CODE_ATTEMPTS = 5
AT_ONCE = "at_once"
"""How the two uses of a code are marked of which nobody can say before which one works."""
_CODES = 10**6
_NO_CODE = "000000"
"""One in a million is; a visitor's own is used up before this is tried."""


def try_codes(caller: Caller, *, replicas: tuple[str, ...]) -> None:
    """Use codes in every way that a phone may, and guess some."""
    for attempt in (code_across_replicas, use_twice_at_once, guess_codes, mistype_code):
        attempt(caller, replicas=replicas)


def code_across_replicas(caller: Caller, *, replicas: tuple[str, ...]) -> None:
    """Make a code on one replica, use it on another, and once more: it must work once.

    A refused code is noted as a fact, not as wrong: only the checker knows whether the cache was harmed meanwhile.
    """
    first, second = (replicas[0], replicas[-1]) if replicas else (None, None)
    made = caller.make(Call(kind="request_code", query=queries.REQUEST_CODE, variables={}, pin=first))
    if made.data is None:
        return
    code = str(made.data["requestVerificationCode"]["code"])
    used = _try(caller, code, use="first", replica=second, made_on=first, is_right=True)
    if used.outcome is Outcome.OK:
        _try(caller, code, use="second", replica=first, made_on=first)


def use_twice_at_once(caller: Caller, *, replicas: tuple[str, ...]) -> None:
    """Use one code on two replicas at the same moment: it must work once. Noted as facts, for the checker."""
    code = _request(caller)
    if code is None:
        return
    pair = (replicas[0], replicas[-1]) if replicas else (None, None)
    with ThreadPoolExecutor(max_workers=len(pair), thread_name_prefix="at-once") as pool:
        for tried in [pool.submit(_try, caller, code, use=AT_ONCE, replica=each, is_right=None) for each in pair]:
            tried.result()


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


def _try(
    caller: Caller,
    code: str,
    *,
    use: str,
    replica: str | None,
    made_on: str | None = None,
    is_right: bool | None = False,
) -> Result:
    return caller.make(
        Call(
            kind="verify_code",
            query=queries.VERIFY_CODE,
            variables={"code": code},
            pin=replica,
            facts={"made_on": made_on, "expected": is_right, "use": use},
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
