"""Somebody who asks far more often than anybody may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
import orjson

from harness.devices import queries
from harness.devices.client import GRAPHQL_PATH
from harness.drivers.protocol import Stack
from harness.tls import trusted

TIMEOUT_S = 10.0


@dataclass(slots=True)
class FloodRequests:
    """So many questions, one after the other, over all replicas in turn; each with the headers of its number.

    Blast radius: whoever the app takes them for, for the rest of the minute. Nothing heals it.
    """

    headers: Callable[[int], Mapping[str, str]]
    times: int
    query: str = queries.ANCHORS
    variables: Mapping[str, str] = field(default_factory=dict)
    target: str = "api"
    source: str = "HTTP status and Retry-After of every answer"
    bite_timeout_s: float = 1.0
    name: str = "flood_requests"
    leaves_as_new: bool = True
    statuses: Counter[int] = field(default_factory=Counter)
    unexplained: int = 0

    def look(self, stack: Stack) -> str:
        """How the answers were."""
        seen = ", ".join(f"{times} × {status}" for status, times in sorted(self.statuses.items()))
        return f"{self.statuses.total()} asked: {seen or 'nothing yet'}"

    def inject(self, stack: Stack) -> None:
        """Ask."""
        body = orjson.dumps({"query": self.query, "variables": dict(self.variables)})
        urls = [f"{url.rstrip('/')}{GRAPHQL_PATH}" for url in stack.api_urls().values()]
        with httpx.Client(timeout=TIMEOUT_S, verify=trusted()) as client:
            for turn in range(self.times):
                headers = {"Content-Type": "application/json", **self.headers(turn)}
                answer = client.post(urls[turn % len(urls)], content=body, headers=headers)
                self.statuses[answer.status_code] += 1
                if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS and "Retry-After" not in answer.headers:
                    self.unexplained += 1

    def has_bitten(self, *, before: str, now: str) -> bool:
        """All were asked."""
        return now.startswith(f"{self.times} asked")

    def heal(self, stack: Stack) -> None:
        """Nothing to undo: the minute passes."""

    def is_whole(self, stack: Stack) -> bool:
        """Nothing was harmed."""
        return True
