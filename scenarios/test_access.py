"""A5: who may ask, how often, and for how long."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from http import HTTPStatus

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.devices import queries
from harness.devices.caller import Call
from harness.devices.phone import Phone
from harness.drivers.protocol import StackSpec
from harness.errors import Inconclusive
from harness.experiment.experiment import Experiment
from harness.faults.requests import FloodRequests
from harness.faults.tokens import RevokeToken
from harness.ledger import Outcome
from harness.rows.row import Load, row
from scenarios.defects import (
    codes_live_for_ever,
    counters_for_ever,
    first_address_counted,
    rate_limit_off,
    token_remembered,
)

FEW = Load(phones=4, samples=1_600, planted_phones=4, planted_samples=1_600)
LIMIT_PER_MINUTE = 150
FLOOD = 2 * LIMIT_PER_MINUTE + 10
"""More than two windows hold, so that one of them overflows wherever it begins."""
STRANGER = "203.0.113.7"
STRANGERS_LIMIT_PER_MINUTE = 60
"""More than all phones together register, or try wrong tokens, from the address that they share."""
STRANGE: tuple[tuple[str, HTTPStatus, str, Mapping[str, str]], ...] = (
    ("tokens", HTTPStatus.UNAUTHORIZED, queries.ANCHORS, {}),
    ("operators_tokens", HTTPStatus.UNAUTHORIZED, queries.REDRIVE, {"kind": "BATCH", "target": "0"}),
    (
        "registrations",
        HTTPStatus.BAD_REQUEST,
        queries.REGISTER,
        {"accountKey": "stranger", "deviceKey": "stranger/d0", "name": "nobody's", "timeZone": "Nowhere/At_All"},
    ),
)
"""What a stranger may try so often in a minute, and how each is answered: of registrations none comes about."""
CODE_TTL_S = 6.0
EACH = 3
"""Questions to each replica: it has several processes, each of which might remember."""


@row(
    "A5",
    variant="rate",
    title="one device asks far more often than it may",
    load=FEW,
    spec=StackSpec(env={"RATE_LIMIT_PER_MINUTE": str(LIMIT_PER_MINUTE)}),
    defects=(
        rate_limit_off.DEFECT.expecting(Kind.UNBOUNDED),
        counters_for_ever.DEFECT.expecting(Kind.UNBOUNDED),
    ),
)
def test_a5_flood(x: Experiment) -> None:
    """It is told to wait, by all replicas together, and for how long; everybody's samples arrive all the same."""
    x.work()
    fleet = x.join_phones()

    @functools.cache
    def token() -> str:
        with fleet.phone(fleet.plans[0]) as phone:
            return _registered(phone)

    flood = FloodRequests(headers=lambda _: {"Authorization": f"Bearer {token()}"}, times=FLOOD)
    if x.inject(flood) is not None:
        _see_turned_away(x, flood, answered=HTTPStatus.OK, limit=LIMIT_PER_MINUTE, who="one device")


@row(
    "A5",
    variant="address",
    title="somebody guesses tokens, and the operators', and registers, with another address written into each request",
    load=FEW,
    spec=StackSpec(env={"ADDRESS_LIMIT_PER_MINUTE": str(STRANGERS_LIMIT_PER_MINUTE)}),
    defects=(first_address_counted.DEFECT.expecting(Kind.UNBOUNDED),),
)
def test_a5_guesses(x: Experiment) -> None:
    """What counts is the address that the load balancer has added last, whatever the client wrote before it."""
    x.work()
    x.join_phones()

    for what, answered, query, variables in STRANGE:
        flood = FloodRequests(
            headers=_strangers_headers,
            times=2 * STRANGERS_LIMIT_PER_MINUTE + 10,
            query=query,
            variables=variables,
            name=f"flood_{what}",
        )
        if x.inject(flood) is not None:
            _see_turned_away(x, flood, answered=answered, limit=STRANGERS_LIMIT_PER_MINUTE, who=f"one address ({what})")


def _strangers_headers(turn: int) -> dict[str, str]:
    return {
        "Authorization": f"Bearer guess-{turn}",
        "X-Operator-Token": f"guess-{turn}",
        "X-Forwarded-For": f"198.51.100.{turn % 250}, {STRANGER}",
    }


def _see_turned_away(x: Experiment, flood: FloodRequests, *, answered: HTTPStatus, limit: int, who: str) -> None:
    """No more than two windows hold were answered otherwise than with 429, which says when to try again."""
    refused = flood.statuses[HTTPStatus.TOO_MANY_REQUESTS]
    x.expect(
        refused > 0 and flood.statuses[answered] <= 2 * limit,
        otherwise=Kind.UNBOUNDED,
        summary=f"{flood.look(x.stack)}, by {who} that may ask {limit} times a minute",
        ids={"bound": "rate limit"},
    )
    x.expect(
        not flood.unexplained,
        otherwise=Kind.WRONG_ANSWER,
        summary=f"{flood.unexplained} of {refused} answers with 429 do not say after how long to try again",
        ids={"bound": "rate limit"},
    )


@row(
    "A5",
    variant="stale",
    title="a device's token is revoked, and a verification code has had its time",
    load=FEW,
    spec=StackSpec(env={"CODE_TTL_S": f"{CODE_TTL_S:g}"}),
    defects=(
        token_remembered.DEFECT.expecting(Kind.WRONG_ANSWER),
        codes_live_for_ever.DEFECT.expecting(Kind.WRONG_ANSWER),
    ),
)
def test_a5_stale(x: Experiment) -> None:
    """No process goes on knowing the one, nor does the other work any more."""
    x.work()
    fleet = x.join_phones()
    with fleet.phone(fleet.plans[0]) as phone:
        _registered(phone)
        _ask_each(x, phone)
        made = phone.caller.make(Call(kind="request_code", query=queries.REQUEST_CODE, variables={}))
        made_at = time.monotonic()
        if x.inject(RevokeToken(phone.plan.device)) is not None:
            _ask_each(x, phone, refusal="UNAUTHENTICATED")
        _registered(phone)
        if made.data is None:
            raise Inconclusive("no verification code was to be had")
        wait_for(
            lambda: time.monotonic() > made_at + CODE_TTL_S + 1.0, awaiting="the code's time", timeout_s=2 * CODE_TTL_S
        )
        code = str(made.data["requestVerificationCode"]["code"])
        used = phone.caller.make(
            Call(
                kind="verify_code",
                query=queries.VERIFY_CODE,
                variables={"code": code},
                facts={"expected": False, "use": "expired"},
            ),
            facts_of=lambda data: {"ok": data["verifyCode"]["ok"]},
        )
        x.witness("an answer about a code that had had its time", used.outcome is Outcome.OK)


def _registered(phone: Phone) -> str:
    """The phone's token. Raises: Inconclusive when it gets none."""
    if not phone.register() or phone.caller.token is None:
        raise Inconclusive(f"{phone.plan.device} could not register")
    return phone.caller.token


def _ask_each(x: Experiment, phone: Phone, *, refusal: str | None = None) -> None:
    """Ask every replica a few times for what only a known device is told."""
    kind = "own_anchors" if refusal is None else "revoked_anchors"
    for replica in x.stack.replicas("api") * EACH:
        phone.caller.make(Call(kind=kind, query=queries.ANCHORS, variables={}, refusal=refusal, pin=replica))
