"""The timeline of one scenario, as columns on one time axis: what the charts are drawn from.

Read from `watch.jsonl` (a reading every quarter of a second) and `ledger.jsonl` (what the phones saw). Times are
seconds after the scenario's first reading, with two decimals; a column has one entry per reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from harness.report.accused import Accused
from harness.report.jsonl import read_lines
from harness.report.logs import LogLine
from harness.report.marks import marks
from harness.report.record import ScenarioRecord, stamp
from harness.report.states import since, spans, with_faults

MAX_READINGS = 1_200
UNNAMED = "unnamed"
LATENCY_BUCKETS = 240
MAX_MARKED_ATTEMPTS = 400


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of the watch; `at` is aware UTC."""

    at: datetime
    raw: Mapping[str, Any]


def build(scenario: ScenarioRecord, blamed: Accused, lines: Iterable[LogLine]) -> dict[str, Any]:
    """The columns, ready to be packed as JSON; empty when the scenario left neither readings nor requests.

    Where nobody watched the stack (a load run elsewhere) the axis begins with the first request, and what requests
    took is all there is.
    """
    readings = _readings(read_lines(scenario.directory / "watch.jsonl"))
    ledger = scenario.directory / "ledger.jsonl"
    stamps = [fault.injected_at for fault in scenario.faults if fault.injected_at is not None]
    start = min([reading.at for reading in readings[:1]] + stamps, default=None)
    start = start if start is not None else _first_request(read_lines(ledger))
    if start is None:
        return {}
    thinned = _thin(readings)
    seconds = [since(reading.at, start) for reading in thinned]
    told = spans([(reading.at, reading.raw.get("states")) for reading in readings], start)
    return {
        "start": start.isoformat(timespec="milliseconds"),
        "t": seconds,
        "queues": _columns(thinned, "queues"),
        "unacked": _column(thinned, "unacked"),
        "chunks": _columns(thinned, "chunks"),
        "connections": _columns(thinned, "connections"),
        "acknowledged": _rates(seconds, _column(thinned, "acknowledged")),
        "present": _rates(seconds, _column(thinned, "present")),
        "health": _health(thinned),
        "states": with_faults(told, scenario.faults, start),
        "marks": marks(scenario, start, blamed=blamed, lines=lines),
        "latency": _latency(read_lines(ledger), start),
        "faults": [
            {
                "name": fault.name,
                "target": fault.target,
                "inject": _maybe(fault.injected_at, start),
                "bite": _maybe(fault.bitten_at, start),
                "heal": _maybe(fault.healed_at, start),
            }
            for fault in scenario.faults
        ],
    }


def _first_request(ops: Iterable[Mapping[str, Any]]) -> datetime | None:
    begun = (stamp(attempt.get("at")) for op in ops for attempt in op.get("attempts") or ())
    return min((at for at in begun if at is not None), default=None)


def _readings(lines: Iterable[Mapping[str, Any]]) -> list[Reading]:
    found = [Reading(at=at, raw=line) for line in lines if (at := stamp(line.get("at"))) is not None]
    return sorted(found, key=lambda reading: reading.at)


def _thin(readings: Sequence[Reading]) -> Sequence[Reading]:
    """At most MAX_READINGS, evenly spread, the last one kept."""
    if len(readings) <= MAX_READINGS:
        return readings
    step = (len(readings) - 1) / (MAX_READINGS - 1)
    return [readings[round(index * step)] for index in range(MAX_READINGS)]


def _maybe(at: datetime | None, start: datetime) -> float | None:
    return None if at is None else since(at, start)


def _column(readings: Sequence[Reading], name: str) -> list[float | None]:
    return [_number(reading.raw.get(name)) for reading in readings]


def _columns(readings: Sequence[Reading], name: str) -> dict[str, list[float | None]]:
    """One column per key of the mapping `name`: 0 where it has no such key, None where it could not be read."""
    maps = [one if isinstance(one := reading.raw.get(name), Mapping) else None for reading in readings]
    keys = sorted({str(key) for one in maps if one is not None for key in one})
    return {key or UNNAMED: [None if one is None else _number(one.get(key, 0)) for one in maps] for key in keys}


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _rates(seconds: Sequence[float], totals: Sequence[float | None]) -> list[float | None]:
    """Per second, between one reading and the next; None where a total is missing."""
    rates: list[float | None] = [None] * len(totals)
    for index in range(1, len(totals)):
        before, after = totals[index - 1], totals[index]
        span = seconds[index] - seconds[index - 1]
        if before is not None and after is not None and span > 0:
            rates[index] = round((after - before) / span, 1)
    return rates


def _health(readings: Sequence[Reading]) -> list[int]:
    """How many api replicas called imports unhealthy at each reading."""
    answers = [one if isinstance(one := reading.raw.get("imports"), Mapping) else {} for reading in readings]
    return [sum(_status(answer) == 503 for answer in one.values()) for one in answers]


def _status(answer: object) -> object:
    return answer.get("status") if isinstance(answer, Mapping) else answer


def _latency(ops: Iterable[Mapping[str, Any]], start: datetime) -> dict[str, Any]:
    """What requests took: median and worst per slice of time, and each attempt that was refused or got no answer."""
    answered: list[tuple[float, float]] = []
    failed: list[tuple[float, float, str]] = []
    refused: list[tuple[float, float, str]] = []
    for op in ops:
        for attempt in op.get("attempts") or ():
            began, ended = stamp(attempt.get("at")), stamp(attempt.get("ended"))
            if began is None or ended is None:
                continue
            took_s = round((ended - began).total_seconds(), 4)
            if attempt.get("outcome") == "OK":
                answered.append((since(began, start), took_s))
                continue
            marks = refused if attempt.get("outcome") == "FAILED" else failed
            if len(marks) < MAX_MARKED_ATTEMPTS:
                marks.append((since(began, start), took_s, _answer(op, attempt)))
    if not answered and not failed and not refused:
        return {}
    return {
        **_slices(answered),
        "failed": [list(one) for one in failed],
        "refused": [list(one) for one in refused],
    }


def _answer(op: Mapping[str, Any], attempt: Mapping[str, Any]) -> str:
    told = attempt.get("code") or attempt.get("error") or attempt.get("status") or "no answer"
    return f"{op.get('op', '')} {op.get('kind', '')}: {told}"


def _slices(answered: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    if not answered:
        return {"t": [], "median": [], "worst": []}
    width = max((max(at for at, _ in answered) - min(at for at, _ in answered)) / LATENCY_BUCKETS, 0.25)
    slices: dict[int, list[float]] = {}
    for at, took_s in answered:
        slices.setdefault(int(at / width), []).append(took_s)
    return {
        "t": [round((index + 0.5) * width, 2) for index in sorted(slices)],
        "median": [round(median(slices[index]), 4) for index in sorted(slices)],
        "worst": [max(slices[index]) for index in sorted(slices)],
    }
