"""Retention removes what is past its time, and a re-sync resurrects nothing."""

import uuid

import pytest

from healthkit.database import execute, fetch_all
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.retention import CleanUp, records_clean_up
from tests.app.imports import batch, chunk_state, count, phone, sample, with_settings

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
