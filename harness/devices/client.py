"""GraphQL over HTTP as a phone speaks it: bounded requests, each with an outcome that says what is surely known.

OK: a readable answer without errors. FAILED: surely no effect, that is a 4xx status or an error code from the list
that the app documents as pre-write. UNKNOWN: everything else (other 5xx, timeout, reset, partial or unreadable
answer): it may have happened.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import orjson

from harness.clock import utc_now
from harness.devices.balancer import Balancer, Target
from harness.ledger import Attempt, Outcome
from harness.tls import trusted

GRAPHQL_PATH = "/graphql/"
# Codes documented as "raised before anything is written" (docs/errors.md); the lab keeps its own copy.
PRE_WRITE_CODES = frozenset(
    {"BAD_REQUEST", "UNAUTHENTICATED", "NOT_FOUND", "CONFLICT", "TOO_LARGE", "RATE_LIMITED"},
)
RATE_LIMITED = "RATE_LIMITED"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request brought: the attempt for the ledger, and the data when it is OK.

    `retry_after_s` is what the server asked for (None: nothing). `body` is kept for answers that need a look.
    """

    attempt: Attempt
    data: Mapping[str, Any] | None = None
    retry_after_s: float | None = None
    body: str = ""

    @property
    def outcome(self) -> Outcome:
        """The attempt's outcome."""
        return self.attempt.outcome


class Sender(Protocol):
    """What a caller sends through: a client, or one that is measured."""

    def send(
        self,
        query: str,
        variables: Mapping[str, Any],
        *,
        token: str | None = None,
        pin: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request; never raises for what the network or the server does."""


class PhoneClient:
    """Sends GraphQL requests through a balancer. Threads may share it; close it.

    `timeout_s` bounds each request as a whole by bounding connect and each read.
    """

    def __init__(self, balancer: Balancer, *, connect_timeout_s: float = 3.0, timeout_s: float = 15.0) -> None:
        self._balancer = balancer
        self._http = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=connect_timeout_s), verify=trusted())

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def send(
        self,
        query: str,
        variables: Mapping[str, Any],
        *,
        token: str | None = None,
        pin: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """One request; never raises for what the network or the server does.

        `pin` names the replica to ask. `body` is sent as it is, in place of query and variables.
        """
        with self._balancer.serving(pin) as target:
            return self._send(target, query, variables, token=token, headers=headers, body=body)

    def _send(
        self,
        target: Target,
        query: str,
        variables: Mapping[str, Any],
        *,
        token: str | None,
        headers: Mapping[str, str] | None,
        body: bytes | None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {token}"} if token is not None else {}
        sent |= headers or {}
        at, begun = utc_now(), time.monotonic()
        status: int | None = None
        code = error = None
        data: Mapping[str, Any] | None = None
        retry_after_s: float | None = None
        text = ""
        try:
            response = self._http.post(
                f"{target.url}{GRAPHQL_PATH}",
                content=orjson.dumps({"query": query, "variables": dict(variables)}) if body is None else body,
                headers={"Content-Type": "application/json", **sent},
            )
        except (httpx.HTTPError, OSError) as problem:
            outcome, error = Outcome.UNKNOWN, f"{type(problem).__name__}: {problem}"
        else:
            status, text = response.status_code, response.text[:2000]
            retry_after_s = _seconds(response.headers.get("Retry-After"))
            outcome, code, data = classify(status, response.content)
        attempt = Attempt(
            at=at.isoformat(),
            ended=utc_now().isoformat(),
            took_s=round(time.monotonic() - begun, 4),
            replica=target.name,
            outcome=outcome,
            status=status,
            code=code,
            error=error,
        )
        return Answer(attempt=attempt, data=data, retry_after_s=retry_after_s, body=text)


def classify(status: int, content: bytes) -> tuple[Outcome, str | None, Mapping[str, Any] | None]:
    """Outcome, error code and data of an answer that arrived whole."""
    code, data = _parsed(content)
    if status == httpx.codes.OK and code is None and data is not None:
        return Outcome.OK, None, data
    is_refusal = 400 <= status < 500 or code in PRE_WRITE_CODES
    return (Outcome.FAILED if is_refusal else Outcome.UNKNOWN), code, None


def _parsed(content: bytes) -> tuple[str | None, Mapping[str, Any] | None]:
    """The first error's code ("" when it has none) and the data; (None, None) for what is no GraphQL answer."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(answer, dict):
        return None, None
    errors = answer.get("errors")
    if errors:
        first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
        return str((first.get("extensions") or {}).get("code", "")), None
    data = answer.get("data")
    return None, data if isinstance(data, dict) else None


def _seconds(text: str | None) -> float | None:
    """A Retry-After header in seconds (0..60); None when absent or a date."""
    try:
        return min(60.0, max(0.0, float(text))) if text is not None else None
    except ValueError:
        return None
