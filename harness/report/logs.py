"""Log lines: parsed, redacted, and placed in time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from harness.redaction import redact
from harness.report.jsonl import parse
from harness.report.record import stamp

LOUD = ("WARNING", "ERROR", "CRITICAL", "FATAL", "PANIC")
_LEADING_STAMP = re.compile(r"^\[?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)(?: ?(?:UTC|Z|\+00:?00))?")
_INNER_STAMP = re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?")
_WHOLE_SECOND = timedelta(seconds=1)
MAX_WAITING = 1_000
"""So many lines without a time are kept until the next one with a time is seen."""
_LEVEL = re.compile(r"\b(DEBUG|INFO|LOG|NOTICE|WARNING|ERROR|CRITICAL|FATAL|PANIC)\b")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one replica; `at` is None where the line carries no time of its own."""

    at: datetime | None
    replica: str
    level: str
    event: str
    text: str
    batch: str
    chunk: str

    @property
    def is_loud(self) -> bool:
        """Whether an operator would want to see it."""
        return self.level in LOUD


def read_logs(directory: Path) -> Iterator[LogLine]:
    """Every line of every replica, file by file, secrets redacted.

    Lines without a time of their own have that of the line before: they go on with it. But when one of them names a
    time within its text, as the banner of a worker that was started again does, they have that.
    """
    for path in sorted((directory / "logs").glob("*.log")):
        yield from _placed(_lines(path))


def _lines(path: Path) -> Iterator[LogLine]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for raw in file:
            text = raw.rstrip("\n")
            if text.strip():
                yield _line(text, replica=path.stem)


def _placed(lines: Iterable[LogLine]) -> Iterator[LogLine]:
    before: datetime | None = None
    waiting: list[LogLine] = []
    for line in lines:
        if line.at is None and len(waiting) < MAX_WAITING:
            waiting.append(line)
            continue
        at = _named_within(waiting, before, line.at) or before
        yield from (replace(one, at=at) for one in waiting)
        waiting.clear()
        before = line.at or before
        yield replace(line, at=before)
    yield from (replace(one, at=before) for one in waiting)


def _named_within(lines: Sequence[LogLine], before: datetime | None, after: datetime | None) -> datetime | None:
    """A time that one of the lines names in its text; believed when it lies between the neighbours' times."""
    if after is None:
        return None
    for line in lines:
        match = _INNER_STAMP.search(line.text)
        at = stamp(match.group()) if match else None
        if at is not None and (before is None or at >= before - _WHOLE_SECOND) and at <= after:
            return max(at, before) if before is not None else at
    return None


def _line(text: str, *, replica: str) -> LogLine:
    found = parse(text) if text.startswith("{") else None
    if found is None:
        match, level = _LEADING_STAMP.match(text), _LEVEL.search(text[:120])
        at = stamp(match.group(1).replace(",", ".")) if match else None
        return LogLine(at, replica, level.group(1) if level else "", "", redact(text), "", "")
    known = ("ts", "level", "service", "replica", "build", "event", "message", "logger")
    rest = " ".join(f"{name}={value}" for name, value in found.items() if name not in known and value not in (None, ""))
    return LogLine(
        at=stamp(found.get("ts")),
        replica=str(found.get("replica") or replica),
        level=str(found.get("level", "")).upper(),
        event=str(found.get("event", "")),
        text=redact(" ".join(part for part in (str(found.get("message", "")), rest) if part)),
        batch=str(found.get("batch") or ""),
        chunk=str(found["chunk"]) if found.get("chunk") is not None else "",
    )
