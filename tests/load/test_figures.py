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

BOUNDS = Bounds(accept_p95_s=1.0, per_chunk_p95_s=5.0, recovery_s=10.0)
GOOD = Figures(
    offered=7000,
    offered_s=20.0,
    offered_per_s=350.0,
    imported_per_s=300.0,
    accept=Latency(count=70, p95_s=0.2),
    accept_calm=Latency(count=70, p95_s=0.2),
    end_to_end=Latency(count=30, p95_s=2.0),
    per_chunk_calm=Latency(count=30, p95_s=1.0),
    dashboard=Latency(count=12, p95_s=0.1),
    late_starts=Latency(count=10, p95_s=0.05),
)


def arrive(notes: Notes, *rows: dict[str, object]) -> None:
    (notes.directory / "arrivals.jsonl").write_text("\n".join(json.dumps(each) for each in rows) + "\n\n")


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
    arrive(
        notes,
        {"visitor": "phone", "late_s": 0.0, "at_s": 2.0, "samples": 250, "sends_s": 1.0},
        {"visitor": "phone", "late_s": 0.4, "at_s": 9.0, "samples": 150, "sends_s": 0.5},
        {"visitor": "phone", "late_s": 0.1, "at_s": 8.0, "samples": 50, "sends_s": 2.0},
        {"visitor": "reader", "late_s": 0.2, "at_s": 11.0},
    )
    found = measure(notes.directory, harmed=((at_ms(9.0), at_ms(11.0)),))
    assert (found.offered, found.offered_s, found.offered_per_s) == (450, 10.0, 45.0)
    assert found.imported_per_s == 200 / 25.0
    assert (found.accept.count, found.accept.longest_s) == (2, 2.0)
    assert (found.accept_calm.count, found.accept_calm.longest_s) == (1, 0.5)
    assert (found.end_to_end.count, found.end_to_end.longest_s) == (1, 14.0)
    assert found.per_chunk_calm.count == 1
    assert found.per_chunk_calm.longest_s == 7.0
    assert (found.dashboard.count, found.dashboard.longest_s) == (1, 0.25)
    assert (found.late_starts.count, found.late_starts.longest_s) == (4, 0.4)


def test_accepting_lasts_from_the_first_attempt_to_the_good_one(notes: Notes) -> None:
    notes.op("upload_chunk", at_s=0.0, took_s=0.5, batch_key="b", index=0)
    notes.op("upload_chunk", at_s=1.0, took_s=0.5, batch_key="b", index=1, tries_before=9)
    found = measure(notes.directory)
    assert (found.accept.count, found.accept.p50_s, found.accept.longest_s) == (2, 0.5, 9.5)
    assert found.accept_calm == found.accept


@pytest.mark.parametrize("kind", ["register", "start_import", "upload_chunk"])
@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.FAILED], ids=str)
def test_what_is_never_accepted_is_named(notes: Notes, kind: str, outcome: Outcome) -> None:
    refused = {"outcome": outcome, "code": "UNAVAILABLE", "device": "load-u7/d0"}
    notes.op(kind, at_s=0.0, took_s=0.5, outcome=outcome, code="RATE_LIMITED", device="load-u6/d0")
    notes.op(kind, at_s=1.0, took_s=0.5, device="load-u6/d0")
    notes.op(kind, at_s=2.0, took_s=0.5, **refused)
    found = measure(notes.directory)
    (anomaly,) = BOUNDS.anomalies(found)
    assert (anomaly.kind, anomaly.ids) == (Kind.WRONG_ANSWER, {"op": "o3", "device": "load-u7/d0"})
    assert anomaly.summary == f"{kind}: load-u7/d0 was never accepted; its last answer: UNAVAILABLE"


def test_what_was_turned_away_in_a_fault_is_no_anomaly(notes: Notes) -> None:
    notes.op("register", at_s=2.0, took_s=0.5, outcome=Outcome.UNKNOWN)
    assert BOUNDS.anomalies(measure(notes.directory, harmed=((at_ms(2.4), at_ms(9.0)),))) == ()


def test_the_load_that_was_turned_away_was_offered_all_the_same(notes: Notes) -> None:
    """Ten phones, of which one is let in: a tenth is imported of what they had planned."""
    arrive(notes, *[{"visitor": "phone", "late_s": 0.0, "at_s": 9.0, "samples": 100, "sends_s": 1.0}] * 10)
    notes.op("register", at_s=0.0, took_s=0.5)
    progress = {"status": "COMPLETED", "importedSamples": 100, "duplicateSamples": 0, "rejectedSamples": 0}
    notes.op("progress", at_s=5.0, took_s=0.5, batch="id", facts={"progress": progress})
    figures = measure(notes.directory)
    assert (figures.offered_per_s, figures.imported_per_s) == (100.0, 10.0)
    bounds = replace(BOUNDS, recovery_s=0.0)
    assert [each.ids["figure"] for each in bounds.anomalies(figures)] == ["throughput"]


def test_nothing_measured_is_a_doubt(notes: Notes) -> None:
    found = measure(notes.directory)
    assert (found.offered, found.offered_per_s) == (0, 0.0)
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
    late = replace(GOOD, late_starts=Latency(count=10, p95_s=LATE_SHARE * GOOD.offered_s + 0.1))
    (doubt,) = BOUNDS.doubts(late)
    assert "PROCESSES" in doubt


@pytest.mark.parametrize("times", [LAB, Times()], ids=["lab", "production"])
def test_bounds_follow_from_the_times(times: Times) -> None:
    found = bounds_of(times, recovery_s=0.0, accept_p95_s=None, per_chunk_p95_s=None)
    assert (found.accept_p95_s, found.per_chunk_p95_s) == (times.publish_bound_s, times.overdue_s)
    own = bounds_of(times, recovery_s=0.0, accept_p95_s=0.05, per_chunk_p95_s=0.5)
    assert (own.accept_p95_s, own.per_chunk_p95_s) == (0.05, 0.5)
