"""Retention removes what is past its time, and a re-sync resurrects nothing."""

import os
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from healthkit import retention, tasks
from healthkit.database import execute, fetch_all
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.retention import CleanUp, records_clean_up
from healthkit.tasks import clean_up, sweep
from scheduling.models import Tick
from scheduling.tick_task import NOT_DONE
from scheduling.ticks import TickId
from tests.app.imports import batch, chunk_state, count, phone, sample, with_settings
from tests.app.plans import plan

pytestmark = pytest.mark.usefixtures("stores")


def run(batch_id: uuid.UUID, index: int = 0) -> Outcome:
    return chunk_run(batch_id=batch_id, chunk_index=index, holder="x")


def grow_old(days: int) -> None:
    """All records and chunks were processed `days` earlier."""
    execute(f"UPDATE healthkit_data_record SET created_at = created_at - interval '{days} days'")
    execute(f"UPDATE healthkit_import_chunk SET finished_at = finished_at - interval '{days} days'")


def reasons() -> list[str]:
    return [row[0] for row in fetch_all("SELECT reason FROM healthkit_rejected_sample ORDER BY id")]


def test_old_records_and_raw_chunks_go_and_the_rest_stays() -> None:
    owner = phone()
    old = batch(owner, [[sample(minute) for minute in range(5)]])
    run(old)
    before = fetch_all("SELECT day, mean, sample_count FROM healthkit_daily_aggregate")
    grow_old(91)
    young = batch(owner, [[sample(1, day=7)]])
    run(young)
    assert records_clean_up() == CleanUp(records=5, days_closed=1, raw_chunks=1)
    assert (count("data_record"), count("record_fingerprint")) == (1, 6)
    assert fetch_all("SELECT day, mean, sample_count FROM healthkit_daily_aggregate WHERE closed") == before
    assert (chunk_state(old)["samples"], chunk_state(young)["samples"] != "") == ("", True)
    assert records_clean_up() == CleanUp(0, 0, 0)


def test_a_resync_of_cleaned_samples_is_a_no_op_and_a_late_one_for_a_closed_day_is_rejected() -> None:
    owner = phone()
    known = sample(1)
    run(batch(owner, [[known]]))
    grow_old(91)
    records_clean_up()
    again = batch(owner, [[known, sample(2), sample(3, day=6)]])
    run(again)
    state = chunk_state(again)
    assert (state["imported_count"], state["duplicate_count"], state["rejected_count"]) == (1, 1, 1)
    assert reasons() == ["day_closed"]
    assert fetch_all("SELECT day::text, sample_count, closed FROM healthkit_daily_aggregate ORDER BY day") == [
        ("2025-10-05", 1, True),
        ("2025-10-06", 1, False),
    ]


def test_chunks_of_a_batch_that_has_not_ended_and_of_failed_ones_are_kept() -> None:
    batch_id = batch(phone(), [[sample(1)], "not json", [sample(2)]])
    with with_settings(chunk_retry_delays_s=()):
        assert [run(batch_id, index) for index in (0, 1)] == [Outcome.DONE, Outcome.FAILED]
    grow_old(91)
    assert records_clean_up() == CleanUp(0, 0, 0)
    run(batch_id, 2)
    assert records_clean_up() == CleanUp(records=1, days_closed=1, raw_chunks=1)
    assert chunk_state(batch_id, 1)["samples"] == "not json"


QUERIES: dict[str, tuple[str, tuple[object, ...], str]] = {
    "whose records": (retention._NEXT_USER, (1.0,), "created_at <"),
    "raw chunks": (retention._RAW_CHUNKS, (1.0, 1), "finished_at <"),
}


@pytest.mark.parametrize("query", list(QUERIES))
def test_what_is_not_past_its_time_is_not_read(query: str) -> None:
    sql, parameters, condition = QUERIES[query]
    assert re.search(rf"Index Cond: \({condition}", plan(sql, parameters))


def test_transactions_are_short() -> None:
    run(batch(phone(), [[sample(minute) for minute in range(7)]]))
    grow_old(91)
    with with_settings(cleanup_batch_size=3):
        assert records_clean_up() == CleanUp(records=7, days_closed=1, raw_chunks=1)


def test_nothing_is_removed_unless_it_is_turned_on() -> None:
    run(batch(phone(), [[sample(1)]]))
    grow_old(91)
    with with_settings(cleanup_enabled=False):
        assert records_clean_up() == CleanUp(0, 0, 0)
    assert count("data_record") == 1


def test_beside_another_run_it_ends_before_its_work_is_complete() -> None:
    run(batch(phone(), [[sample(1)]]))
    grow_old(91)
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        other.execute(retention._TURN)
        assert records_clean_up() == CleanUp(0, 0, 0, is_complete=False)
        assert clean_up() == NOT_DONE
    assert clean_up() == str(CleanUp(records=1, days_closed=1, raw_chunks=1))


def test_run_that_is_longer_than_its_limit_says_that_it_is_not_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    run(batch(phone(), [[sample(minute) for minute in range(7)]]))
    grow_old(91)
    monkeypatch.setattr(retention, "MAX_TRANSACTIONS", 2)
    with with_settings(cleanup_batch_size=3):
        assert records_clean_up() == CleanUp(records=6, days_closed=1, raw_chunks=0, is_complete=False)
        assert records_clean_up() == CleanUp(records=1, days_closed=0, raw_chunks=1, is_complete=False)
        assert records_clean_up() == CleanUp(0, 0, 0)


@pytest.mark.parametrize("task", [clean_up, sweep], ids=["clean_up", "sweep"])
def test_tick_of_a_task_that_met_a_database_that_is_away_stays_open(
    task: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tick = Tick.objects.create(entry="e", due_at=datetime(2026, 1, 1, tzinfo=UTC), status="published")

    def deliver() -> None:
        task.push_request(args=[], kwargs={}, tick=str(TickId("e", tick.due_at)))
        try:
            task()
        finally:
            task.pop_request()
        tick.refresh_from_db()

    def away() -> None:
        raise psycopg.OperationalError("lock timeout")

    with monkeypatch.context() as patched:
        for name in ("records_clean_up", "imports_sweep"):
            patched.setattr(tasks, name, away)
        deliver()
    assert tick.status == "published"
    assert [getattr(each, "event", "") for each in caplog.records] == ["database_unavailable", "tick_left_open"]
    deliver()
    assert tick.status == "done"
