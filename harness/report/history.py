"""The history of one sample: what its phone did, what every log says of its chunk, and what became of the rows.

Everything comes from what the run left behind; nothing is asked of a living stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from harness.report.accused import index_of
from harness.report.jsonl import read_lines
from harness.report.logs import LogLine
from harness.report.record import AnomalyRecord, ScenarioRecord, stamp
from harness.report.rows import row_events

MAX_EVENTS = 160
MADE_OLD = timedelta(hours=1)
"""A row that is older than the first trace by more was made old by the scenario."""
PER_SCENARIO = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to the sample. `source` is phone, log, row or fault; `when` counts from the first.

    `is_bad` is where it went wrong; `is_loud` a warning, which a fault may well bring about.
    """

    at: datetime
    when: str
    source: str
    who: str
    text: str
    is_bad: bool = False
    is_loud: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """All of it, in time order. `subject` names the sample or the chunk."""

    subject: str
    intro: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class _Subject:
    """What to look for: the chunk that carried the sample. Empty strings where unknown."""

    name: str
    sample: str
    batch_key: str
    batch: str
    index: str


def histories(scenario: ScenarioRecord, lines: Iterable[LogLine]) -> tuple[History, ...]:
    """Of the first anomalous samples, at most PER_SCENARIO, no chunk twice."""
    told: list[History] = []
    kept = [line for line in lines if line.at is not None]
    seen: set[tuple[str, str]] = set()
    for group in scenario.anomalies:
        for anomaly in group.first:
            subject = _subject(anomaly, scenario.directory)
            chunk = (subject.batch or subject.batch_key, subject.index) if subject else ("", "")
            if subject is None or chunk in seen:
                continue
            seen |= {chunk, (chunk[0], "")}
            history = _history(subject, scenario, anomaly, kept)
            if history is not None:
                told.append(history)
            if len(told) == PER_SCENARIO:
                return tuple(told)
    return tuple(told)


def _subject(anomaly: AnomalyRecord, directory: Path) -> _Subject | None:
    ids = anomaly.ids
    sample = ids.get("sample", "")
    batch_key, batch = ids.get("batch_key", ""), ids.get("batch", "")
    index = index_of(ids)
    if sample:
        line = next(_samples(directory, sample), None)
        if line is not None:
            batch_key, index = str(line.get("batch_key", "")), str(line.get("index", ""))
    if not batch_key and not batch:
        return None
    name = f"sample {sample}" if sample else f"batch {batch or batch_key}" + (f", chunk {index}" if index else "")
    return _Subject(name=name, sample=sample, batch_key=batch_key, batch=batch, index=index)


def _samples(directory: Path, key: str) -> Iterator[dict[str, Any]]:
    return (line for line in read_lines(directory / "samples.jsonl", naming=key) if line.get("sample") == key)


def _history(
    subject: _Subject, scenario: ScenarioRecord, anomaly: AnomalyRecord, lines: Sequence[LogLine]
) -> History | None:
    ops = _without_polls(list(_ops(subject, scenario.directory)))
    batch = subject.batch or next((str(op["batch"]) for op in ops if op.get("batch")), "")
    logs = [line for line in lines if _concerns(line, batch, subject)]
    events = [event for op in ops for event in _attempts(op)]
    events += [_said(line, batch=batch) for line in logs]
    rows = row_events(scenario.directory, batch=batch, index=subject.index)
    begun = min((event.at for event in events), default=None)
    ends = []
    for row in rows:
        if row.at is None:
            ends.append(row)
        elif begun is not None and row.at < begun - MADE_OLD:
            ends.append(replace(row, text=f"{row.text}; dated {row.at:%Y-%m-%d}: the scenario made it old"))
        else:
            events.append(Event(row.at, "", "row", "postgres row", row.text, row.is_bad))
    if not events:
        return None
    events += _faults(scenario)
    ordered = sorted(events, key=lambda event: event.at)
    shown = _shorten(ordered)
    start = ordered[0].at
    timed = tuple(replace(event, when=f"+{(event.at - start).total_seconds():.3f} s") for event in shown)
    last = ordered[-1].at
    looked = [Event(last, "at the end", "row", "last look", row.text, row.is_bad) for row in ends]
    verdict = Event(last, "at the end", "verdict", "the lab", f"{anomaly.kind}: {anomaly.summary}")
    intro = _intro(subject, batch, start, len(ordered), len(shown))
    return History(subject=subject.name, intro=intro, events=(*timed, *looked, verdict))


def _shorten(events: Sequence[Event]) -> list[Event]:
    """The first and the last ones, and every fault, when there are too many."""
    if len(events) <= MAX_EVENTS:
        return list(events)
    half = MAX_EVENTS // 2
    return [*events[:half], *(event for event in events[half:-half] if event.source == "fault"), *events[-half:]]


def _intro(subject: _Subject, batch: str, start: datetime, all_count: int, shown_count: int) -> str:
    chunk = f"chunk {subject.index} of batch {batch or subject.batch_key}" if subject.index else f"batch {batch}"
    text = f"It travelled in {chunk}. Times count from its first trace, {start:%H:%M:%S.%f}"[:-3] + " UTC."
    if shown_count < all_count:
        text += f" {shown_count} of {all_count} events are shown: the first, the last, and every fault."
    return text


def _ops(subject: _Subject, directory: Path) -> Iterator[dict[str, Any]]:
    """The ops that started its batch or carried its chunk, or asked how far it is."""
    for op in read_lines(directory / "ledger.jsonl", naming=subject.batch_key or subject.batch):
        if subject.batch_key and op.get("batch_key") != subject.batch_key:
            continue
        index = op.get("index")
        if index is None or not subject.index or str(index) == subject.index:
            yield op


def _without_polls(ops: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Phones ask for progress all the time; the last answer is enough."""
    polls = [op for op in ops if op.get("kind") == "progress"]
    return [op for op in ops if op.get("kind") != "progress" or op is polls[-1]]


def _attempts(op: dict[str, Any]) -> Iterator[Event]:
    kind, device = str(op.get("kind", "")), str(op.get("device", ""))
    attempts = op.get("attempts") or []
    for number, attempt in enumerate(attempts, start=1):
        began, ended = stamp(attempt.get("at")), stamp(attempt.get("ended"))
        if began is None:
            continue
        told = " ".join(str(attempt[name]) for name in ("status", "code", "error") if attempt.get(name)) or "no answer"
        took = f" after {(ended - began).total_seconds():.3f} s" if ended is not None else ""
        yield Event(
            at=began,
            when="",
            source="phone",
            who=f"phone {device}",
            text=f"{kind}, attempt {number} at {attempt.get('replica', '?')}: {told}{took} → {attempt.get('outcome')}",
            is_bad=attempt.get("outcome") == "UNKNOWN",
        )
    last = stamp(attempts[-1].get("ended")) if attempts else None
    if kind == "upload_chunk" and op.get("outcome") == "OK" and last is not None:
        text = "was told: these samples are kept (acknowledged)"
        yield Event(at=last, when="", source="phone", who=f"phone {device}", text=text)


def _concerns(line: LogLine, batch: str, subject: _Subject) -> bool:
    if not batch:
        return False
    names_batch = line.batch == batch or batch in line.text
    return names_batch and (not line.chunk or not subject.index or line.chunk == subject.index)


def _said(line: LogLine, *, batch: str) -> Event:
    if line.at is None:
        raise ValueError("a line without a time has no place in a history")
    said = line.text.replace(f" batch={batch}", "")
    text = f"{line.event}: {said}" if line.event else said
    is_warning = line.level == "WARNING"
    is_bad = line.is_loud and not is_warning
    return Event(line.at, "", "log", line.replica, text, is_bad=is_bad, is_loud=is_warning)


def _faults(scenario: ScenarioRecord) -> Iterator[Event]:
    for fault in scenario.faults:
        for at, word in ((fault.injected_at, "injected"), (fault.bitten_at, "bit"), (fault.healed_at, "healed")):
            if at is not None:
                proof = f" — {fault.source}: {fault.before} → {fault.after}" if word == "bit" else ""
                yield Event(
                    at=at, when="", source="fault", who=fault.target, text=f"{fault.name} {word}{proof}", is_bad=False
                )
