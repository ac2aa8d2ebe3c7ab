"""What became of the rows of one chunk, as the final observation found them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.evidence.rows_file import ROWS_FILE
from harness.report.chunks import accounted, is_short
from harness.report.jsonl import read_lines
from harness.report.record import stamp_of_ms

_CARRIES = (
    "it carries ids only, no samples, and so rescues none: a delivery that nobody confirmed, as a killed worker leaves "
    "it, comes back after the visibility timeout and does nothing if the chunk is DONE"
)


@dataclass(frozen=True, slots=True)
class RowEvent:
    """Something that a row tells. `at` is None for what it says in the end."""

    at: datetime | None
    text: str
    is_bad: bool = False


def row_events(directory: Path, *, batch: str, index: str) -> tuple[RowEvent, ...]:
    """Of the chunk's row, its batch's, and messages about it that still lie in Redis; empty when nothing is known."""
    if not batch:
        return ()
    rows = [
        row
        for row in read_lines(directory / ROWS_FILE, naming=batch)
        if row.get("batch") == batch and (row.get("index") is None or not index or str(row["index"]) == index)
    ]
    events = [event for row in rows for event in _told_by(row)]
    if rows and not any(row.get("row") == "message" for row in rows):
        events.append(RowEvent(None, "no message in Redis is about this chunk", is_bad=_is_open(rows)))
    return tuple(events)


def _is_open(rows: list[dict[str, Any]]) -> bool:
    return any(row.get("row") == "chunk" and row.get("status") == "PENDING" for row in rows)


def _told_by(row: Mapping[str, Any]) -> Iterator[RowEvent]:
    created, finished = stamp_of_ms(row.get("created_ms")), stamp_of_ms(row.get("finished_ms"))
    match row.get("row"):
        case "batch":
            if created:
                yield RowEvent(created, f"batch of {row.get('chunk_count')} chunks begun")
            if finished:
                yield RowEvent(finished, f"batch {row.get('status')}", is_bad=row.get("status") == "FAILED")
            text = (
                f"batch {row.get('status')}: of {row.get('chunk_count')} chunks {row.get('uploaded_count')} uploaded, "
                f"{row.get('done_count')} done, {row.get('failed_count')} failed; "
                f"published {row.get('dispatch_count')}× (the batch's dispatch_count)"
            )
            yield RowEvent(None, text, is_bad=row.get("status") not in ("COMPLETED", "ABANDONED"))
        case "chunk":
            if created:
                yield RowEvent(created, f"chunk committed with its {row.get('sample_count')} raw samples")
            if finished:
                is_bad = row.get("status") == "FAILED" or is_short(row)
                yield RowEvent(finished, f"chunk {row.get('status')}: {_results(row)}", is_bad)
            yield RowEvent(None, _state_of(row), is_bad=row.get("status") != "DONE")
        case "message":
            yield RowEvent(None, f"a message lies in {row.get('status')}: {row.get('last_error')} ({_CARRIES})")


def _state_of(row: Mapping[str, Any]) -> str:
    claim = "claimed" if row.get("is_claimed") else "claimed by nobody"
    error = f"; last error: {row['last_error']}" if row.get("last_error") else ""
    return (
        f"chunk {row.get('status')}, {claim}: executed {row.get('executions')}×, "
        f"interrupted {row.get('interruptions')}×, data errors {row.get('data_attempts')}, "
        f"infrastructure errors {row.get('infra_attempts')}, published again {row.get('dispatch_count')}× "
        f"since its last claim (the chunk's dispatch_count, which each claim sets to 0); "
        f"{_results(row)}{error}"
    )


def _results(row: Mapping[str, Any]) -> str:
    imported, doubled, rejected = (row.get(f"{name}_count") for name in ("imported", "duplicate", "rejected"))
    sums = accounted(row) if row.get("status") == "DONE" else None
    total = f" = {sums[0]} of {sums[1]}" if sums else ""
    return f"{imported} imported, {doubled} duplicates, {rejected} rejected{total}"
