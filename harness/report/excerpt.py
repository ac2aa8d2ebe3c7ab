"""Which log lines the page holds: those that name what was harmed, always; then loud ones; noise goes first."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from harness.report.accused import Accused
from harness.report.logs import LogLine
from harness.report.record import ScenarioRecord

SHOWN = 600
SEARCHABLE = 3_000
"""So many lines a page holds of a scenario with anomalies; SHOWN are shown, a filter finds all of them."""
BEFORE_S = 3.0
AFTER_S = 8.0
_NOISE = re.compile(
    r'"(?:GET|POST|HEAD) /(?:graphql|health|metrics)\S*" 2\d\d\b'
    r"|Deprecat|SecurityWarning|superuser privileges"
    r"|healthkit\.sweep\b(?!.*(?:taken_over|abandoned|finalised|redispatched)=[1-9])|\btick_published\b"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A line that the page holds. `number` is its place among all lines in time order; `is_shown` before any filter."""

    line: LogLine
    at: datetime
    number: int
    is_accused: bool
    is_shown: bool


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The kept lines in time order, and how many lines all replicas wrote (those that can be placed in time)."""

    kept: tuple[Kept, ...]
    total: int


def excerpt(scenario: ScenarioRecord, blamed: Accused, lines: Iterable[LogLine]) -> Excerpt:
    """Lines about the accused from the whole run, and others from shortly before the first fault to after the heal."""
    points = [at for fault in scenario.faults for at in (fault.injected_at, fault.bitten_at, fault.healed_at) if at]
    times: list[datetime] = []
    ranked: list[tuple[tuple[int, float], int, datetime, LogLine]] = []
    for line in lines:
        if line.at is None:
            continue
        times.append(line.at)
        is_accused = bool(blamed.named) and blamed.concern(line)
        if is_accused or _is_near(line.at, points):
            rank = 0 if is_accused else 1 if line.is_loud else 3 if is_noise(line) else 2
            ranked.append(((rank, _distance_s(line.at, points)), len(ranked), line.at, line))
    ranked.sort(key=lambda item: item[:2])
    kept = ranked[: SEARCHABLE if blamed.named else SHOWN]
    times.sort()
    numbers: dict[datetime, int] = {}
    placed: list[Kept] = []
    places = {item[1]: place for place, item in enumerate(kept)}
    for (rank, _), order, at, line in sorted(kept, key=lambda item: (item[2], item[3].replica, item[1])):
        number = numbers.get(at, bisect_left(times, at))
        numbers[at] = number + 1
        placed.append(Kept(line, at, number, is_accused=rank == 0, is_shown=places[order] < SHOWN))
    return Excerpt(tuple(placed), total=len(times))


def is_noise(line: LogLine) -> bool:
    """Whether it says only that all is as ever: a request answered, a sweep that found nothing."""
    return not line.is_loud and bool(_NOISE.search(f"{line.event} {line.text}"))


def _is_near(at: datetime, points: Sequence[datetime]) -> bool:
    if not points:
        return True
    return min(points) - timedelta(seconds=BEFORE_S) <= at <= max(points) + timedelta(seconds=AFTER_S)


def _distance_s(at: datetime, points: Sequence[datetime]) -> float:
    return min((abs((at - point).total_seconds()) for point in points), default=0.0)
