"""Measuring: each request of a visitor under the name that it has in the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from harness.devices import queries
from harness.devices.client import Answer, PhoneClient
from harness.ledger import Outcome

ACCEPT: Final = "accept a chunk"
RENDER: Final = "render (4 queries)"
END_TO_END: Final = ("end to end", "submitted → visible")
LATE_START: Final = ("schedule", "late start (omission)")
NAMES: Final[Mapping[str, str]] = {
    queries.REGISTER: "register",
    queries.START_IMPORT: "start an import",
    queries.UPLOAD_CHUNK: ACCEPT,
    queries.PROGRESS: "poll progress",
    queries.AGGREGATES: "aggregates",
    queries.ANCHOR: "anchor",
    queries.ANCHORS: "anchors",
}


class Meter(Protocol):
    """Takes one measurement. `group` tells phones, dashboards and the run's own figures apart."""

    def __call__(self, group: str, name: str, *, took_s: float, problem: str | None = None) -> None:
        """`problem` says in words why it counts as a failure."""


@dataclass(frozen=True, slots=True)
class MeasuredClient:
    """A client whose requests are measured; retries are requests of their own."""

    client: PhoneClient
    meter: Meter
    group: str

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
        """As PhoneClient.send."""
        answer = self.client.send(query, variables, token=token, pin=pin, headers=headers, body=body)
        attempt = answer.attempt
        is_good = attempt.outcome is Outcome.OK
        problem = None if is_good else f"{attempt.outcome}: {attempt.code or attempt.error or attempt.status}"
        self.meter(self.group, NAMES.get(query, "other"), took_s=attempt.took_s, problem=problem)
        return answer
