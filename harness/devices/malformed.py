"""Requests that no well-made phone sends: query bombs, and bodies that are no request. Each must be refused.

What arrives in the wrong form is otherwise a good mutation, so that an app that takes it leaves something behind that
no device sent in order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from harness.devices import queries
from harness.devices.caller import Call, Caller

# Above MAX_BODY_BYTES.
TOO_MANY_BYTES = 2_097_153
# Above the limits of a document in docs/errors.md: characters, tokens, depth, aliases.
TOO_LONG, TOO_MANY_TOKENS, TOO_DEEP, TOO_MANY_ALIASES = 8_193, 1_001, 7, 11
# Above the limit of an anchor.
TOO_LONG_ANCHOR = 5_000
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Malformed:
    """One body, how it is declared, and the code with which it must be refused."""

    name: str
    body: bytes
    content_type: str = JSON
    refusal: str = "BAD_REQUEST"


def send_malformed(caller: Caller, requests: Sequence[Malformed]) -> None:
    """Send them one after another; what was wrong about an answer is noted in the ledger."""
    for each in requests:
        caller.make(
            Call(
                kind="malformed",
                query="",
                variables={},
                refusal=each.refusal,
                headers={"Content-Type": each.content_type},
                body=each.body,
                facts={"malformed": each.name},
            )
        )


def malformed_half(key: str, *, turn: int) -> tuple[Malformed, ...]:
    """One half of them, so that two phones together send every kind."""
    every = malformed_of(key)
    middle = len(every) // 2
    return every[middle:] if turn % 2 else every[:middle]


def malformed_of(key: str) -> tuple[Malformed, ...]:
    """Every kind; `key` is the idempotency key of the import that is asked for in a wrong form."""
    good = _request(
        queries.START_IMPORT,
        key=key,
        type="HKQuantityTypeIdentifierStepCount",
        **{"from": None, "to": f"{key}/end", "count": 1},
    )
    too_large = _request(
        queries.START_IMPORT, key=key, type="x" * TOO_MANY_BYTES, **{"from": None, "to": key, "count": 1}
    )
    far = _request(
        queries.START_IMPORT,
        key=key,
        type="HKQuantityTypeIdentifierStepCount",
        **{"from": None, "to": "x" * TOO_LONG_ANCHOR, "count": 1},
    )
    late = _request(queries.CREATE_REMINDER, key=key, text="of another era", due="9999-12-31T23:59:59-14:00")
    return (
        *(Malformed(name, _request(document)) for name, document in _BOMBS),
        Malformed("a body cut short", good[: len(good) // 2]),
        Malformed("no body", b""),
        Malformed("no object", b"[" + good + b"]"),
        Malformed("no UTF-8", good.replace(b"StepCount", b"StepCount\xff")),
        Malformed("UTF-16", good.decode().encode("utf-16")),
        Malformed("a lone surrogate", good.replace(b"StepCount", b"StepCount\\ud800")),
        Malformed("NUL in a text", good.replace(b"StepCount", b"StepCount\\u0000")),
        Malformed("a number too large", good.replace(b'"count": 1', b'"count": 1e400')),
        Malformed("an array bomb", b'{"query": "{anchors{type}}", "variables": ' + b"[" * 100_000),
        Malformed("as text", good, content_type="text/plain"),
        Malformed("as a form", good, content_type="application/x-www-form-urlencoded"),
        Malformed("as a multipart form", good, content_type="multipart/form-data; boundary=x"),
        Malformed("too large", too_large, refusal="TOO_LARGE"),
        Malformed("an anchor too long", far),
        Malformed("a time beyond the calendar", late),
        Malformed("the same again", late),
    )


_BOMBS = (
    ("a deep query", "{__schema{types" + "{fields{type" * (TOO_DEEP // 2) + "{name}" + "}}" * (TOO_DEEP // 2) + "}}"),
    ("many aliases", "{" + " ".join(f"a{number}:anchors{{type}}" for number in range(TOO_MANY_ALIASES)) + "}"),
    ("many tokens", "{anchors{" + "type " * TOO_MANY_TOKENS + "}}"),
    ("a long query", "{anchors{type}}" + " " * TOO_LONG),
    ("fragments in a circle", "{anchors{...a}} fragment a on TypeAnchor{...b} fragment b on TypeAnchor{...a}"),
    ("two mutations", "mutation{a:requestVerificationCode{code} b:requestVerificationCode{code}}"),
    ("a subscription", "subscription{anchors{type}}"),
)


def _request(document: str, **variables: object) -> bytes:
    return json.dumps({"query": document, "variables": variables}).encode()
