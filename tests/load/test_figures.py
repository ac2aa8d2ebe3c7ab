"""Figures from a ledger made by hand, and the bounds that they are held to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from harness.anomaly import Kind
from harness.checkers.windows import ms_of
from harness.ledger import Outcome
from harness.load.bounds import LATE_SHARE, Bounds, bounds_of
from harness.load.figures import Figures, Latency, latency_of, measure
from harness.times import LAB, Times
from tests.load.conftest import Notes, stamp

BOUNDS = Bounds(accept_p95_s=1.0, per_chunk_p95_s=5.0, run_time_s=20.0, recovery_s=10.0)
GOOD = Figures(
    samples=7000,
    offered_per_s=350.0,
    imported_per_s=300.0,
    accept=Latency(count=70, p95_s=0.2),
    accept_calm=Latency(count=70, p95_s=0.2),
    end_to_end=Latency(count=30, p95_s=2.0),
    per_chunk_calm=Latency(count=30, p95_s=1.0),
    dashboard=Latency(count=12, p95_s=0.1),
    late_starts=Latency(count=10, p95_s=0.05),
)


def at_ms(at_s: float) -> int:
    return ms_of(datetime.fromisoformat(stamp(at_s)))


@pytest.mark.parametrize(
    ("values", "p50_s", "p95_s", "longest_s"),
    [
        ([], 0.0, 0.0, 0.0),
        ([3.0], 3.0, 3.0, 3.0),
        ([2.0, 1.0], 1.0, 2.0, 2.0),
        ([float(each) for each in range(1, 101)], 50.0, 95.0, 100.0),
        ([float(each) for each in range(1, 22)], 11.0, 20.0, 21.0),
    ],
    ids=["none", "one", "two", "hundred", "twenty-one"],
)
def test_percentiles_are_nearest_ranks(values: list[float], p50_s: float, p95_s: float, longest_s: float) -> None:
    found = latency_of(values)
    assert (found.count, found.p50_s, found.p95_s, found.longest_s) == (len(values), p50_s, p95_s, longest_s)


def test_figures_of_a_small_run(notes: Notes) -> None:
    notes.op("upload_chunk", at_s=0.0, took_s=0.5, batch_key="b", index=0, sample_count=100)
    notes.op("upload_chunk", at_s=10.0, took_s=2.0, batch_key="b", index=1, sample_count=100)
    notes.op("upload_chunk", at_s=12.0, took_s=9.0, batch_key="c", index=0, sample_count=100, outcome=Outcome.UNKNOWN)
    progress = {"status": "COMPLETED", "importedSamples": 150, "duplicateSamples": 20, "rejectedSamples": 30}
    notes.op("progress", at_s=20.0, took_s=5.0, batch="id", facts={"progress": progress})
    notes.op("progress", at_s=90.0, took_s=5.0, batch="id", facts={"progress": progress})
    notes.op("aggregates", at_s=25.0, took_s=1.0, facts={"final": False, "end_to_end_s": 14.0, "chunks": 2})
    notes.op("aggregates", at_s=30.0, took_s=0.25, device="load-u1/dashboard0", facts={"final": False, "count": 3})
    late = [{"late_s": 0.0}, {"late_s": 0.4}]
    (notes.directory / "arrivals.jsonl").write_text("\n".join(json.dumps(each) for each in late) + "\n\n")
    found = measure(notes.directory, run_time_s=10.0, harmed=((at_ms(9.0), at_ms(11.0)),))
    assert (found.samples, found.offered_per_s, found.imported_per_s) == (200, 20.0, 200 / 25.0)
    assert (found.accept.count, found.accept.longest_s) == (2, 2.0)
    assert (found.accept_calm.count, found.accept_calm.longest_s) == (1, 0.5)
    assert (found.end_to_end.count, found.end_to_end.longest_s) == (1, 14.0)
    assert found.per_chunk_calm.count == 1
    assert found.per_chunk_calm.longest_s == 7.0
    assert (found.dashboard.count, found.dashboard.longest_s) == (1, 0.25)
    assert (found.late_starts.count, found.late_starts.longest_s) == (2, 0.4)


def test_nothing_measured_is_a_doubt(notes: Notes) -> None:
    found = measure(notes.directory, run_time_s=10.0)
    assert found.samples == 0
    assert len(BOUNDS.doubts(found)) == 1


def test_good_figures_are_within_bounds() -> None:
    assert BOUNDS.anomalies(GOOD) == ()
    assert BOUNDS.doubts(GOOD) == ()


@pytest.mark.parametrize(
    ("change", "kind", "figure"),
    [
        ({"accept_calm": Latency(count=70, p95_s=1.01)}, Kind.UNBOUNDED, "accept p95"),
        ({"per_chunk_calm": Latency(count=30, p95_s=5.01)}, Kind.LATE, "end-to-end p95"),
        ({"imported_per_s": 99.0}, Kind.LATE, "throughput"),
    ],
    ids=["accept", "end to end", "throughput"],
)
def test_each_bound_names_its_figure(change: dict[str, object], kind: Kind, figure: str) -> None:
    (found,) = BOUNDS.anomalies(replace(GOOD, **change))  # type: ignore[arg-type]  # one of its fields
    assert (found.kind, found.ids["figure"]) == (kind, figure)


def test_slow_in_a_fault_is_no_anomaly() -> None:
    slow = replace(GOOD, accept=Latency(count=70, p95_s=9.0), end_to_end=Latency(count=30, p95_s=90.0))
    assert BOUNDS.anomalies(slow) == ()


def test_late_starts_make_the_load_another_one() -> None:
    late = replace(GOOD, late_starts=Latency(count=10, p95_s=LATE_SHARE * BOUNDS.run_time_s + 0.1))
    (doubt,) = BOUNDS.doubts(late)
    assert "PROCESSES" in doubt


@pytest.mark.parametrize("times", [LAB, Times()], ids=["lab", "production"])
def test_bounds_follow_from_the_times(times: Times) -> None:
    asked = {"run_time_s": 20.0, "recovery_s": 0.0}
    found = bounds_of(times, **asked, accept_p95_s=None, per_chunk_p95_s=None)
    assert (found.accept_p95_s, found.per_chunk_p95_s) == (times.publish_bound_s, times.overdue_s)
    own = bounds_of(times, **asked, accept_p95_s=0.05, per_chunk_p95_s=0.5)
    assert (own.accept_p95_s, own.per_chunk_p95_s) == (0.05, 0.5)
