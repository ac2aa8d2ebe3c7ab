"""Every chunk of a scenario with all that is known of it, in words that finish the sentence `the chunks …`.

From the rows as last observed, from what the phones did, and from the services' log lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.evidence.rows_file import ROWS_FILE
from harness.report.accused import ChunkKey
from harness.report.jsonl import read_lines
from harness.report.logs import LogLine
from harness.report.record import FaultRecord, ScenarioRecord, stamp_of_ms

PREFIX = "HKQuantityTypeIdentifier", "HKCategoryTypeIdentifier"
_COUNTED = ("imported_count", "duplicate_count", "rejected_count")
_TIMES = {
    "executions": "executed",
    "interruptions": "interrupted",
    "data_attempts": "failed on data",
    "infra_attempts": "failed on infrastructure",
}


@dataclass(slots=True)
class Chunk:
    """One chunk. `facts` maps an attribute to its value as a phrase; `row` is its row as last observed."""

    row: Mapping[str, Any]
    facts: dict[str, str] = field(default_factory=dict)
    device: str = ""
    type: str = ""
    starts: list[tuple[datetime, str]] = field(default_factory=list)
    events: set[str] = field(default_factory=set)

    @property
    def replicas(self) -> tuple[str, ...]:
        """Who executed it, in time order, as far as their logs tell."""
        return tuple(replica for _, replica in sorted(self.starts))

    @property
    def accounted(self) -> tuple[int, int] | None:
        """How many samples its counters explain, of how many; None while nothing was counted."""
        return accounted(self.row)

    @property
    def is_harmed(self) -> bool:
        """Left undone, or DONE although its counters do not explain all of its samples."""
        return self.row.get("status") == "PENDING" or is_short(self.row)


def accounted(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """Imported, doubled and rejected samples of a chunk's row, and how many it was sent; None if one is unknown."""
    counts = [row.get(name) for name in (*_COUNTED, "sample_count")]
    whole = [count for count in counts if isinstance(count, int)]
    return (sum(whole[:3]), whole[3]) if len(whole) == len(counts) else None


def is_short(row: Mapping[str, Any]) -> bool:
    """Whether a chunk's row is DONE although its counters do not explain all of its samples."""
    sums = accounted(row)
    return row.get("status") == "DONE" and sums is not None and sums[0] != sums[1]


def chunks(scenario: ScenarioRecord, lines: Iterable[LogLine]) -> dict[ChunkKey, Chunk]:
    """All chunks by batch and index; empty when the run left no rows."""
    found: dict[ChunkKey, Chunk] = {}
    left: dict[ChunkKey, str] = {}
    for row in read_lines(scenario.directory / ROWS_FILE):
        key = (str(row.get("batch")), str(row.get("index")))
        if row.get("row") == "chunk":
            found[key] = Chunk(row=row)
        elif row.get("row") == "message":
            left[key] = str(row.get("status"))
    if found:
        _add_uploads(found, scenario)
        _add_logs(found, lines)
    for key, chunk in found.items():
        chunk.facts.update(_facts(chunk, key, scenario))
        chunk.facts["message"] = f"with a message left in Redis ({left[key]})" if key in left else "in no message"
    _add_events(found)
    return found


def short_type(name: str) -> str:
    """A HealthKit type without its long beginning."""
    for prefix in PREFIX:
        name = name.removeprefix(prefix)
    return name


def _add_uploads(found: Mapping[ChunkKey, Chunk], scenario: ScenarioRecord) -> None:
    for op in read_lines(scenario.directory / "ledger.jsonl", naming="upload_chunk"):
        chunk = found.get((str(op.get("batch")), str(op.get("index"))))
        if chunk is None or op.get("kind") != "upload_chunk":
            continue
        attempts = op.get("attempts") or []
        chunk.device = str(op.get("device") or "")
        chunk.type = short_type(str(op.get("type") or ""))
        chunk.facts["uploads"] = "uploaded in one attempt" if len(attempts) == 1 else "uploaded in several attempts"
        chunk.facts["api"] = f"uploaded to {attempts[-1].get('replica')}" if attempts else "uploaded nowhere"
        if any(one.get("outcome") == "UNKNOWN" for one in attempts):
            chunk.facts["answer"] = "whose upload once got no answer"


def _add_logs(found: Mapping[ChunkKey, Chunk], lines: Iterable[LogLine]) -> None:
    for line in lines:
        chunk = found.get((line.batch, line.chunk)) if line.chunk else None
        if chunk is None or not line.event or line.event == "log":
            continue
        chunk.events.add(line.event)
        if line.event == "chunk_started" and line.at is not None:
            chunk.starts.append((line.at, line.replica))


def _add_events(found: Mapping[ChunkKey, Chunk]) -> None:
    """What log lines say of some chunks and not of others."""
    for event in sorted(set().union(*(chunk.events for chunk in found.values()))):
        for chunk in found.values():
            is_said = event in chunk.events
            chunk.facts[f"event {event}"] = f"whose log says {event}" if is_said else f"whose log never says {event}"


def _facts(chunk: Chunk, key: ChunkKey, scenario: ScenarioRecord) -> Iterator[tuple[str, str]]:
    row = chunk.row
    for name, words in _TIMES.items():
        if isinstance(row.get(name), int):
            is_never = name == "executions" and not row[name]
            yield ("status executions", "never executed") if is_never else (name, f"{words} {row[name]}×")
    yield from _in_time(chunk, scenario)
    yield "status", f"{row.get('status')} at the end"
    if row.get("is_claimed") is not None:
        yield "claim", "claimed at the end" if row["is_claimed"] else "claimed by nobody at the end"
    if row.get("last_error"):
        yield "error", f"with the last error “{row['last_error']}”"
    if chunk.starts:
        yield "replicas", f"executed by {', then '.join(chunk.replicas)}"
    for name, value in (("type", chunk.type), ("device", chunk.device)):
        if value:
            yield name, f"of {name} {value}"
    yield "index", f"with index {key[1]}"
    if row.get("sample_count") is not None:
        yield "size", f"of {row['sample_count']} samples"


def _in_time(chunk: Chunk, scenario: ScenarioRecord) -> Iterator[tuple[str, str]]:
    """Where it was when the faults came and went."""
    finished = stamp_of_ms(chunk.row.get("finished_ms"))
    created = stamp_of_ms(chunk.row.get("created_ms"))
    for fault in scenario.faults:
        if fault.injected_at is None:
            continue
        if created is not None:
            when = "before" if created < fault.injected_at else _until(created, fault)
            yield f"upload {fault.name} {fault.target}", f"uploaded {when} {fault.name}"
        is_begun = any(at <= fault.injected_at for at, _ in chunk.starts)
        is_over = finished is not None and finished <= fault.injected_at
        if is_begun and not is_over:
            yield f"in work {fault.name} {fault.target}", f"begun and not finished when {fault.name} was injected"
        if finished is None:
            continue
        when = "before" if is_over else _until(finished, fault)
        yield f"end {fault.name} {fault.target}", f"finished {when} {fault.name}"


def _until(at: datetime, fault: FaultRecord) -> str:
    return "after" if fault.healed_at is not None and at > fault.healed_at else "during"
