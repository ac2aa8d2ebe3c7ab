"""Health as the API tells it: what /health/imports names as a problem, what /metrics counts; asked of every replica."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from harness.drivers.protocol import Stack
from harness.evidence.metrics_page import figures
from harness.tls import trusted

TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem as one replica names it; `text` is all that it says about it."""

    replica: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Problems:
    """Everything that was named at one moment; `unreadable` are replicas that gave no answer or not a readable one."""

    found: tuple[Problem, ...]
    unreadable: tuple[str, ...]

    def get_any(self, codes: Iterable[str], *, about: str = "") -> Problem | None:
        """The first problem with one of these codes that names `about`."""
        wanted = frozenset(codes)
        return next((each for each in self.found if each.code in wanted and about in each.text), None)


def import_problems(stack: Stack) -> Problems:
    """Ask every api replica once."""
    found: list[Problem] = []
    unreadable: list[str] = []
    for replica, url in stack.api_urls().items():
        try:
            answer = httpx.get(f"{url.rstrip('/')}/health/imports", timeout=TIMEOUT_S, verify=trusted()).json()
            found += [Problem(replica, str(each["code"]), str(each)) for each in answer["problems"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{replica}: {type(error).__name__}")
    return Problems(tuple(found), tuple(unreadable))


def counted(stack: Stack, name: str, label: str) -> float:
    """A figure (`label` as in harness/evidence/metrics_page.py) as the replica that tells most tells it; 0 of none."""
    told = [0.0]
    for url in stack.api_urls().values():
        try:
            page = httpx.get(f"{url.rstrip('/')}/metrics", timeout=TIMEOUT_S, verify=trusted()).raise_for_status().text
        except httpx.HTTPError:
            continue
        told += [each.value for each in figures(page) if (each.name, each.label) == (name, label)]
    return max(told)
