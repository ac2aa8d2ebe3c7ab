"""Figures of a load run, from the merged ledger and the phones' plans: what was offered, how fast taken and shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import orjson

from harness.bench.figures import percentile
from harness.checkers.windows import Window, overlap
from harness.evidence.files import load_ledger
from harness.evidence.tables import create_tables, open_tables
from harness.load.booth import ARRIVALS_FILE
from harness.load.people import DASHBOARD
from harness.load.timetable import Visitor

FIGURES_FILE: Final = "load.json"
# From the first attempt to the one that was answered OK, with the waits between: what it took to get rid of a chunk.
_ACCEPTS = """
SELECT started_ms, ended_ms FROM ops WHERE kind = 'upload_chunk' AND outcome = 'OK' ORDER BY ALL
"""
_UNACCEPTED = """
SELECT min_by(op, started_ms), kind, device, batch_key, idx, min(started_ms), max(ended_ms),
       max_by(coalesce(nullif(attempts->-1->>'code', ''), attempts->-1->>'error', attempts->-1->>'status'), ended_ms)
FROM ops WHERE kind IN ('register', 'start_import', 'upload_chunk')
GROUP BY kind, device, batch_key, idx HAVING NOT bool_or(outcome = 'OK') ORDER BY 6, 1
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
_BEGUN = "SELECT min(started_ms) FROM ops"
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
class Unaccepted:
    """A registration, an import or a chunk that was never answered OK, in words and by its op."""

    op: str
    device: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a load run measured. `accept` is the time from a chunk's first attempt until it was answered OK.

    `calm` leaves out what overlapped a fault. `per_chunk` is end-to-end latency divided by the batch's chunks.
    `offered` are the samples that the phones which arrived had planned to send, and `offered_s` the time until the last
    of them had sent its own if nobody had kept it waiting; `imported_per_s` is samples of ended batches over that time,
    or the time until the last was seen ended. `late_starts` is how late visitors began: what a measurement that waits
    for answers would leave out.
    """

    offered: int
    offered_s: float
    offered_per_s: float
    imported_per_s: float
    accept: Latency
    accept_calm: Latency
    end_to_end: Latency
    per_chunk_calm: Latency
    dashboard: Latency
    late_starts: Latency
    unaccepted_calm: tuple[Unaccepted, ...] = ()

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
    p50_s, p95_s, p99_s, longest_s = (round(percentile(values, share), 4) for share in (0.5, 0.95, 0.99, 1.0))
    return Latency(count=len(values), p50_s=p50_s, p95_s=p95_s, p99_s=p99_s, longest_s=longest_s)


def measure(directory: Path, *, harmed: Sequence[Window] = ()) -> Figures:
    """The figures of the ledger in this directory; `harmed` are the times of faults, in milliseconds."""
    with closing(open_tables()) as tables:
        create_tables(tables)
        load_ledger(tables, directory)
        accepts: list[tuple[int, int]] = _rows(tables, _ACCEPTS)
        unaccepted = _rows(tables, _UNACCEPTED)
        shown: list[tuple[int, float, int]] = _rows(tables, _SHOWN)
        reads = [took_s for (took_s,) in _rows(tables, _READS)]
        ((begun_ms,),) = _rows(tables, _BEGUN)
        ((imported, seen_ms),) = _rows(tables, _IMPORTED)
    arrivals = _arrivals(directory / ARRIVALS_FILE)
    phones = [each for each in arrivals if each["visitor"] == Visitor.PHONE]
    offered = sum(each["samples"] for each in phones)
    offered_s = max((each["at_s"] + each["sends_s"] for each in phones), default=0.0)
    took_s = (seen_ms - begun_ms) / 1000 if seen_ms is not None else 0.0

    def is_calm(from_ms: float, to_ms: float) -> bool:
        return not overlap(harmed, int(from_ms), int(to_ms))

    return Figures(
        offered=offered,
        offered_s=offered_s,
        offered_per_s=_rate(offered, offered_s),
        imported_per_s=_rate(int(imported), max(offered_s, took_s)),
        accept=latency_of([(to_ms - from_ms) / 1000 for from_ms, to_ms in accepts]),
        accept_calm=latency_of([(each[1] - each[0]) / 1000 for each in accepts if is_calm(*each)]),
        end_to_end=latency_of([each_s for _, each_s, _ in shown]),
        per_chunk_calm=latency_of([each_s / chunks for at, each_s, chunks in shown if is_calm(at - 1000 * each_s, at)]),
        dashboard=latency_of(reads),
        late_starts=latency_of([each["late_s"] for each in arrivals]),
        unaccepted_calm=tuple(
            Unaccepted(op=op, device=device, what=_what(kind, device=device, key=key, index=index, last=last))
            for op, kind, device, key, index, from_ms, to_ms, last in unaccepted
            if is_calm(from_ms, to_ms)
        ),
    )


def _rate(samples: int, took_s: float) -> float:
    return samples / took_s if took_s else 0.0


def _what(kind: str, *, device: str, key: str | None, index: int | None, last: str) -> str:
    about = " of ".join(str(each) for each in (None if index is None else f"chunk {index}", key or device) if each)
    return f"{kind}: {about} was never accepted; its last answer: {last}"


def _arrivals(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [orjson.loads(line) for line in lines if line.strip()]


def _rows(tables: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return tables.execute(sql).fetchall()
