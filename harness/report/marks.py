"""Single moments for the timeline: claims taken over, chunks executed again, chunks that lost samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from harness.evidence.rows_file import ROWS_FILE
from harness.report.accused import Accused, ChunkKey
from harness.report.jsonl import read_lines
from harness.report.logs import LogLine
from harness.report.record import ScenarioRecord
from harness.report.states import since

MAX_MARKS = 200
_EXECUTION = re.compile(r"\bexecution (\d+)")


def marks(scenario: ScenarioRecord, start: datetime, *, blamed: Accused, lines: Iterable[LogLine]) -> list[list[Any]]:
    """[seconds, replica or "", kind, text] in time order; kind is takeover, again or harmed."""
    moments = [(line, told) for line in lines if (told := _told(line))]
    found = [(line.at, line.replica, *told) for line, told in moments if line.at is not None]
    found += [(at, "", "harmed", text) for at, text in _harmed(scenario, blamed)]
    found.sort(key=lambda mark: mark[0])
    return [[since(at, start), replica, kind, text] for at, replica, kind, text in found[:MAX_MARKS]]


def _told(line: LogLine) -> tuple[str, str] | None:
    about = f"chunk {line.chunk} of batch {line.batch[:8]}"
    if line.event == "claim_taken_over":
        return "takeover", f"claim taken over: {about}"
    match = _EXECUTION.search(line.text) if line.event == "chunk_started" else None
    if match and int(match.group(1)) > 1:
        return "again", f"execution {match.group(1)} begins: {about}"
    return None


def _harmed(scenario: ScenarioRecord, blamed: Accused) -> Iterator[tuple[datetime, str]]:
    """Of each chunk with lost samples, when it was finished; of one that never was, when it was uploaded."""
    lost: Counter[ChunkKey] = Counter(one.chunk for one in blamed.named if one.chunk and one.anomaly.kind == "lost")
    if not lost:
        return
    for row in read_lines(scenario.directory / ROWS_FILE, naming='"chunk"'):
        key = (str(row.get("batch")), str(row.get("index")))
        raw = row.get("finished_ms") or row.get("created_ms")
        if row.get("row") == "chunk" and key in lost and isinstance(raw, int):
            word = "finished" if row.get("finished_ms") else "uploaded, never finished"
            text = f"chunk {key[1]} of batch {key[0][:8]} {word}; {lost[key]} of its samples are named as lost"
            yield datetime.fromtimestamp(raw / 1000, UTC), text
