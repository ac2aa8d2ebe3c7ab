"""One op: the same request, repeated until it is resolved or its time is up, and noted in the ledger."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.devices.client import RATE_LIMITED, Answer, Sender
from harness.ledger import Attempt, Ledger, Op, Outcome

_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 2.0

Check = Callable[[Mapping[str, Any]], list[str]]


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked and what the right answer is.

    `body` is sent as it is, in place of query and variables. `check` says in words what is wrong about an OK answer.
    `refusal` is the code with which the call must be refused (None: it must succeed); `may_refuse` are codes that are
    right as well. The rest goes into the ledger.
    """

    kind: str
    query: str
    variables: Mapping[str, Any]
    check: Check = lambda _data: []
    refusal: str | None = None
    may_refuse: frozenset[str] = frozenset()
    pin: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    batch_key: str | None = None
    batch: str | None = None
    index: int | None = None
    type: str | None = None
    sample_count: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """How an op ended."""

    outcome: Outcome
    data: Mapping[str, Any] | None
    code: str | None
    wrong: tuple[str, ...]
    attempts: int


class Caller:
    """Makes ops for one device, mostly one at a time; threads may share it.

    `stop` ends retries early (what is unresolved stays UNKNOWN); `pause` is called after each op.
    """

    def __init__(
        self,
        *,
        user: str,
        device: str,
        client: Sender,
        ledger: Ledger,
        stop: threading.Event,
        retry_for_s: float,
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        self.user = user
        self.device = device
        self.token: str | None = None
        self._client = client
        self._ledger = ledger
        self._stop = stop
        self._retry_for_s = retry_for_s
        self._pause = pause
        self._number = itertools.count()

    @property
    def is_stopped(self) -> bool:
        """Whether the device was told to end."""
        return self._stop.is_set()

    def wait(self, duration_s: float) -> None:
        """Pause, but not beyond the order to stop."""
        self._stop.wait(duration_s)

    def make(self, call: Call, *, facts_of: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None) -> Result:
        """Run one op to its end and note it; `facts_of` takes from a good answer what the ledger should keep."""
        answers, data = self._attempt(call)
        attempts = tuple(answer.attempt for answer in answers)
        last = answers[-1]
        outcome = _outcome(attempts)
        wrong = [problem for answer in answers for problem in _transport_problems(answer)]
        wrong += _verdict_problems(call, outcome=outcome, last=last)
        if data is not None and call.refusal is None:
            wrong += _checked(call, data)
        found = facts_of(data) if facts_of is not None and data is not None else {}
        self._ledger.op(
            Op(
                op=f"{self.device}-{next(self._number)}",
                kind=call.kind,
                user=self.user,
                device=self.device,
                outcome=outcome,
                attempts=attempts,
                batch_key=call.batch_key,
                batch=call.batch,
                index=call.index,
                type=call.type,
                sample_count=call.sample_count,
                wrong=tuple(wrong),
                facts={**call.facts, **found},
            )
        )
        self._pause()
        return Result(outcome=outcome, data=data, code=last.attempt.code, wrong=tuple(wrong), attempts=len(attempts))

    def _attempt(self, call: Call) -> tuple[list[Answer], Mapping[str, Any] | None]:
        answers: list[Answer] = []
        deadline = time.monotonic() + self._retry_for_s
        backoff_s = _FIRST_BACKOFF_S
        while True:
            answer = self._client.send(
                call.query, call.variables, token=self.token, pin=call.pin, headers=call.headers, body=call.body
            )
            answers.append(answer)
            is_final = answer.outcome is not Outcome.UNKNOWN and answer.attempt.code != RATE_LIMITED
            if is_final or self._stop.is_set() or time.monotonic() >= deadline:
                return answers, answer.data
            # A phone follows Retry-After only where it is told to slow down; an outage it probes at its own pace.
            asked_s = answer.retry_after_s if answer.attempt.code == RATE_LIMITED else None
            self.wait(backoff_s if asked_s is None else asked_s)
            backoff_s = min(_LONGEST_BACKOFF_S, backoff_s * 2)


def _outcome(attempts: tuple[Attempt, ...]) -> Outcome:
    """OK as soon as one attempt was; FAILED only if no attempt was UNKNOWN."""
    if attempts[-1].outcome is Outcome.OK:
        return Outcome.OK
    if any(attempt.outcome is Outcome.UNKNOWN for attempt in attempts):
        return Outcome.UNKNOWN
    return Outcome.FAILED


def _transport_problems(answer: Answer) -> list[str]:
    """What no answer may be, whatever was asked."""
    attempt = answer.attempt
    problems: list[str] = []
    if attempt.status is None:
        return problems
    if "Traceback" in answer.body:
        problems.append(f"HTTP {attempt.status} from {attempt.replica} with a stack trace")
    if attempt.status == 500:
        problems.append(f"HTTP 500 from {attempt.replica} (code {attempt.code})")
    if attempt.status in (429, 503) and answer.retry_after_s is None:
        problems.append(f"HTTP {attempt.status} from {attempt.replica} without Retry-After")
    if attempt.outcome is Outcome.FAILED and not attempt.code:
        problems.append(f"HTTP {attempt.status} from {attempt.replica} without extensions.code")
    return problems


def _verdict_problems(call: Call, *, outcome: Outcome, last: Answer) -> list[str]:
    code = last.attempt.code
    if call.refusal is not None:
        if outcome is Outcome.OK:
            return [f"{call.kind} succeeded; it must be refused with {call.refusal}"]
        if last.outcome is Outcome.FAILED and code not in (call.refusal, RATE_LIMITED):
            return [f"{call.kind} was refused with {code}; it must be {call.refusal}"]
        return []
    if last.outcome is Outcome.FAILED and code != RATE_LIMITED and code not in call.may_refuse:
        return [f"{call.kind} was refused with HTTP {last.attempt.status} {code}; nothing about it was wrong"]
    return []


def _checked(call: Call, data: Mapping[str, Any]) -> list[str]:
    """An answer whose very shape is wrong is a finding, too, not a crash of the device."""
    try:
        return call.check(data)
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        return [f"{call.kind}: unreadable answer ({type(problem).__name__}: {problem})"]
