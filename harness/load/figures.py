"""Figures of a load run, worked out from the merged ledger: what was offered, how fast it was taken and shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import orjson

from harness.checkers.windows import Window, overlap
from harness.evidence_tables import create_tables, open_tables
from harness.load.booth import ARRIVALS_FILE
from harness.load.people import DASHBOARD
from harness.observe_files import load_ledger

FIGURES_FILE: Final = "load.json"
_ACCEPTS = """
SELECT epoch_ms(CAST(a->>'at' AS TIMESTAMPTZ)), CAST(a->>'took_s' AS DOUBLE)
FROM (SELECT unnest(CAST(attempts AS JSON[])) AS a FROM ops WHERE kind = 'upload_chunk')
WHERE a->>'outcome' = 'OK' ORDER BY ALL
"""
_SHOWN = """
SELECT ended_ms, CAST(facts->>'end_to_end_s' AS DOUBLE), CAST(facts->>'chunks' AS INTEGER) FROM ops
WHERE kind = 'aggregates' AND facts->>'end_to_end_s' IS NOT NULL ORDER BY ALL
"""
_READS = f"""
SELECT CAST(a->>'took_s' AS DOUBLE)
FROM (SELECT unnest(CAST(attempts AS JSON[])) AS a FROM ops
      WHERE kind = 'aggregates' AND contains(device, '/{DASHBOARD}'))
WHERE a->>'outcome' = 'OK' ORDER BY ALL
"""
_OFFERED = """
SELECT coalesce(sum(sample_count) FILTER (WHERE kind = 'upload_chunk' AND outcome = 'OK'), 0), min(started_ms) FROM ops
"""
# A batch counts from the first time that its phone saw it ended.
_IMPORTED = """
SELECT coalesce(sum(samples), 0), max(seen_ms) FROM (
    SELECT batch, min(ended_ms) AS seen_ms,
           any_value(CAST(facts->'progress'->>'importedSamples' AS BIGINT)
                     + CAST(facts->'progress'->>'duplicateSamples' AS BIGINT)
                     + CAST(facts->'progress'->>'rejectedSamples' AS BIGINT)) AS samples
    FROM ops WHERE kind = 'progress' AND outcome = 'OK' AND facts->'progress'->>'status' = 'COMPLETED' GROUP BY batch)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds at the usual percentiles; zero of nothing measured."""

    count: int = 0
    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    longest_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a load run measured. Latencies are those of requests that were answered OK.

    `calm` leaves out what overlapped a fault. `per_chunk` is end-to-end latency divided by the batch's chunks.
    `offered_per_s` is acknowledged samples over the timetable's length, `imported_per_s` those of ended batches over
    the time until the last was seen ended. `late_starts` is how late visitors began: what a measurement that waits for
    answers would leave out.
    """

    samples: int
    offered_per_s: float
    imported_per_s: float
    accept: Latency
    accept_calm: Latency
    end_to_end: Latency
    per_chunk_calm: Latency
    dashboard: Latency
    late_starts: Latency

    def as_json(self) -> dict[str, Any]:
        """For load.json and the report."""
        return asdict(self)

    def line(self) -> str:
        """In one line, for the verdict."""
        return (
            f"{self.imported_per_s:,.0f} of {self.offered_per_s:,.0f} offered samples/s, "
            f"accept p95 {1000 * self.accept.p95_s:.0f} ms, end to end p95 {self.end_to_end.p95_s:.1f} s, "
            f"dashboard p95 {1000 * self.dashboard.p95_s:.0f} ms, latest start {1000 * self.late_starts.longest_s:.0f}"
            " ms late"
        )


def latency_of(values: Sequence[float]) -> Latency:
    """Percentiles by nearest rank."""
    if not values:
        return Latency()
    ranked = sorted(values)

    def at(part: float) -> float:
        return round(ranked[max(0, -(-int(part * len(ranked) * 100) // 100) - 1)], 4)

    return Latency(count=len(ranked), p50_s=at(0.5), p95_s=at(0.95), p99_s=at(0.99), longest_s=round(ranked[-1], 4))


def measure(directory: Path, *, run_time_s: float, harmed: Sequence[Window] = ()) -> Figures:
    """The figures of the ledger in this directory; `harmed` are the times of faults, in milliseconds."""
    with closing(open_tables()) as tables:
        create_tables(tables)
        load_ledger(tables, directory)
        accepts: list[tuple[int, float]] = _rows(tables, _ACCEPTS)
        shown: list[tuple[int, float, int]] = _rows(tables, _SHOWN)
        reads = [took_s for (took_s,) in _rows(tables, _READS)]
        ((samples, begun_ms),) = _rows(tables, _OFFERED)
        ((imported, seen_ms),) = _rows(tables, _IMPORTED)
    took_s = (seen_ms - begun_ms) / 1000 if seen_ms is not None else 0.0

    def is_calm(ended_ms: int, took_s: float) -> bool:
        return not overlap(harmed, int(ended_ms - 1000 * took_s), ended_ms)

    return Figures(
        samples=int(samples),
        offered_per_s=int(samples) / run_time_s,
        imported_per_s=int(imported) / max(run_time_s, took_s),
        accept=latency_of([took_s for _, took_s in accepts]),
        accept_calm=latency_of([each_s for at, each_s in accepts if is_calm(int(at + 1000 * each_s), each_s)]),
        end_to_end=latency_of([each_s for _, each_s, _ in shown]),
        per_chunk_calm=latency_of([each_s / chunks for at, each_s, chunks in shown if is_calm(at, each_s)]),
        dashboard=latency_of(reads),
        late_starts=latency_of(_late_starts(directory / ARRIVALS_FILE)),
    )


def _late_starts(path: Path) -> list[float]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [float(orjson.loads(line)["late_s"]) for line in lines if line.strip()]


def _rows(tables: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return tables.execute(sql).fetchall()
