"""The sweeper and the dispatch of messages: nothing stands still, nothing is published without need."""

import os
import re
import uuid
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from healthkit import dispatching, sweeping
from healthkit.database import execute
from healthkit.dispatching import chunks_dispatch
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.importing.claim import Claim, chunk_claim
from healthkit.sweeping import Sweep, imports_sweep
from tests.app.environment import SWEEP_INTERVAL_S
from tests.app.imports import (
    age,
    batch,
    batch_state,
    chunk_state,
    count,
    in_another_session,
    phone,
    queued,
    sample,
    with_settings,
)
from tests.app.plans import plan

pytestmark = pytest.mark.usefixtures("stores")
NOTHING = Sweep(taken_over=0, abandoned=0, finalised=0, redispatched=0)


def chunks(amount: int) -> list[list[dict[str, Any]]]:
    return [[sample(minute=index % 60, hour=index // 60)] for index in range(amount)]


def run(batch_id: uuid.UUID, index: int) -> Outcome:
    return chunk_run(batch_id=batch_id, chunk_index=index, holder="x")


def test_a_finished_chunk_publishes_the_next_one() -> None:
    batch_id = batch(phone(), chunks(3))
    assert run(batch_id, 0) is Outcome.DONE
    assert queued() == [(str(batch_id), 1)]


def test_what_was_finished_long_ago_is_not_read() -> None:
    assert re.search(r"Index Cond: \(finished_at >", plan(sweeping._REDISPATCH, (1, 1.0, 1.0, 1.0, 1)))


def test_a_refused_delivery_publishes_nothing() -> None:
    batch_id = batch(phone(), chunks(3))
    run(batch_id, 0)
    run(batch_id, 0)
    assert queued() == [(str(batch_id), 1)]


def test_dispatching_twice_publishes_once() -> None:
    batch_id = batch(phone(), chunks(3))
    assert [chunks_dispatch(batch_id), chunks_dispatch(batch_id)] == [1, 0]
    assert queued() == [(str(batch_id), 0)]


def test_dispatching_beside_a_twin_takes_no_later_chunk_in_its_place() -> None:
    batch_id = batch(phone(), chunks(3))
    with psycopg.connect(os.environ["DATABASE_URL"]) as twin:
        twin.execute(
            "SELECT 1 FROM healthkit_import_chunk WHERE batch_id = %s AND chunk_index = 0 FOR UPDATE", (batch_id,)
        )
        assert chunks_dispatch(batch_id) == 0
    assert queued() == []


def test_fan_out_publishes_as_many_as_slots() -> None:
    batch_id = batch(phone(), chunks(5))
    with with_settings(chunk_fanout=3):
        assert chunks_dispatch(batch_id) == 3
        run(batch_id, 1)
    assert queued() == [(str(batch_id), index) for index in (0, 1, 2, 3)]


def test_a_committed_batch_without_any_message_is_found() -> None:
    batch_id = batch(phone(), chunks(3))
    assert imports_sweep().redispatched == 1
    assert queued() == [(str(batch_id), 0)]


def test_a_lost_message_is_sent_again_at_the_next_sweep_then_after_doubling_waits() -> None:
    batch_id = batch(phone(), chunks(1))
    chunks_dispatch(batch_id)
    sent = []
    for _ in range(8):
        age(batch_id, 1)
        sent.append(imports_sweep().redispatched)
    assert sent == [1, 0, 1, 0, 0, 0, 1, 0]


def test_waits_end_at_a_cap() -> None:
    batch_id = batch(phone(), chunks(1))
    execute("UPDATE healthkit_import_chunk SET dispatch_count = 1000, next_dispatch_at = clock_timestamp()")
    assert imports_sweep().redispatched == 1
    age(batch_id, 9.9)
    assert imports_sweep() == NOTHING
    age(batch_id, 0.1)
    assert imports_sweep().redispatched == 1


def test_a_message_behind_a_moving_backlog_is_left_alone_and_an_overtaken_one_is_not() -> None:
    first, waiting, lost = (batch(phone(), chunks(1)) for _ in range(3))
    for each, sent_before in ((lost, 9), (first, 6), (waiting, 3)):
        chunks_dispatch(each)
        age(each, sent_before)
    run(first, 0)
    assert imports_sweep().redispatched == 1
    assert [chunk_state(each)["dispatch_count"] for each in (waiting, lost)] == [1, 2]


def test_a_message_that_was_sent_again_makes_nothing_behind_it_look_overtaken() -> None:
    early, waiting = (batch(phone(), chunks(1)) for _ in range(2))
    chunks_dispatch(early)
    age(early, 9)
    chunks_dispatch(waiting)
    assert imports_sweep().redispatched == 1
    age(waiting, 3)
    run(early, 0)
    assert imports_sweep() == NOTHING


def test_without_progress_what_waits_is_sent_again() -> None:
    first, waiting = (batch(phone(), chunks(1)) for _ in range(2))
    for each in (first, waiting):
        chunks_dispatch(each)
    run(first, 0)
    for each in (first, waiting):
        age(each, 3)
    assert imports_sweep().redispatched == 1


def test_a_claimed_chunk_keeps_its_batch_from_being_published() -> None:
    batch_id = batch(phone(), chunks(3))
    assert isinstance(chunk_claim(batch_id=batch_id, chunk_index=0, holder="x"), Claim)
    assert imports_sweep() == NOTHING
    assert queued() == []


def test_a_dead_claim_is_taken_over_and_published_in_one_sweep() -> None:
    batch_id = batch(phone(), chunks(3))
    chunk_claim(batch_id=batch_id, chunk_index=0, holder="dead")
    age(batch_id, 1)
    assert imports_sweep() == Sweep(taken_over=1, abandoned=0, finalised=0, redispatched=1)
    assert queued() == [(str(batch_id), 0)]


def test_a_retry_is_published_when_it_falls_due_and_not_before() -> None:
    batch_id = batch(phone(), ["not json"])
    run(batch_id, 0)
    assert imports_sweep() == NOTHING
    age(batch_id, 1)
    assert imports_sweep().redispatched == 1


def test_a_publish_that_failed_is_owed_at_the_next_sweep_and_stops_this_one() -> None:
    batches = [batch(phone(), chunks(1)) for _ in range(3)]
    with patch.object(dispatching, "publish", return_value=False) as publish:
        assert imports_sweep() == NOTHING
        assert publish.call_count == 1
        assert imports_sweep() == NOTHING
    for each in batches:
        age(each, 1)
    assert imports_sweep().redispatched == 3
    assert sorted(queued()) == sorted((str(each), 0) for each in batches)


def test_a_chunk_whose_successor_was_marked_but_never_published_goes_on() -> None:
    batch_id = batch(phone(), chunks(2))
    with patch("healthkit.importing.chunk.chunk_publish", side_effect=SystemExit), pytest.raises(SystemExit):
        run(batch_id, 0)
    assert (chunk_state(batch_id)["status"], queued()) == ("DONE", [])
    age(batch_id, 1)
    assert imports_sweep().redispatched == 1
    assert queued() == [(str(batch_id), 1)]


def test_two_sweepers_at_once_publish_once() -> None:
    for _ in range(20):
        batch(phone(), chunks(1))
    sweepers = [in_another_session(imports_sweep) for _ in range(4)]
    assert sum(each.result().redispatched for each in sweepers) == 20
    assert len(queued()) == len(set(queued())) == 20


def test_rows_that_another_sweeper_holds_are_left_to_it() -> None:
    held, free = (batch(phone(), chunks(1)) for _ in range(2))
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        other.execute("SELECT 1 FROM healthkit_import_chunk WHERE batch_id = %s FOR UPDATE", (held,))
        assert imports_sweep().redispatched == 1
    assert queued() == [(str(free), 0)]


def test_one_sweep_publishes_a_bounded_number() -> None:
    for _ in range(3):
        batch(phone(), chunks(1))
    with patch("healthkit.sweeping.MAX_DISPATCHES", 2):
        assert [imports_sweep().redispatched for _ in range(3)] == [2, 1, 0]


def test_an_unfinished_upload_is_abandoned_and_what_arrived_is_imported() -> None:
    batch_id = batch(phone(), chunks(2), chunk_count=3, status="PENDING", new_anchor="a1")
    empty = batch(phone(), [], chunk_count=3, status="PENDING")
    assert imports_sweep() == NOTHING
    with with_settings(upload_abandon_s=100 * SWEEP_INTERVAL_S):
        age(batch_id, 101)
        age(empty, 101)
        assert imports_sweep() == Sweep(taken_over=0, abandoned=2, finalised=1, redispatched=1)
    assert batch_state(empty)["finished_at"] is not None
    assert [run(batch_id, index) for index in (0, 1)] == [Outcome.DONE, Outcome.DONE]
    ended = batch_state(batch_id)
    assert (ended["status"], ended["done_count"], ended["finished_at"] is not None) == ("ABANDONED", 2, True)
    assert (count("data_record"), count("anchor")) == (2, 0)


def test_an_abandoned_upload_is_logged_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    batch_id = batch(phone(), chunks(1), chunk_count=2, status="PENDING")
    empty = batch(phone(), [], chunk_count=2, status="PENDING")
    caplog.set_level("INFO")
    with with_settings(upload_abandon_s=0):
        imports_sweep()
    run(batch_id, 0)
    logged = {each: events(caplog, each) for each in (empty, batch_id)}
    assert logged[empty] == ["upload_abandoned", "batch_finished"]
    assert [each for each in logged[batch_id] if not each.startswith("chunk_")] == [
        "upload_abandoned",
        "sweep_redispatched",
        "batch_finished",
    ]


def events(caplog: pytest.LogCaptureFixture, batch_id: uuid.UUID) -> list[str]:
    lines = [vars(each) for each in caplog.records]
    return [line["event"] for line in lines if line.get("ids", {}).get("batch") == str(batch_id)]


def test_a_batch_whose_chunks_are_all_counted_is_ended() -> None:
    batch_id = batch(phone(), chunks(1), new_anchor="a1")
    execute("UPDATE healthkit_import_batch SET done_count = 1")
    execute("UPDATE healthkit_import_chunk SET status = 'DONE', finished_at = clock_timestamp()")
    assert imports_sweep().finalised == 1
    assert (batch_state(batch_id)["status"], count("anchor_move")) == ("COMPLETED", 1)


def test_a_whole_batch_runs_with_one_message_for_each_chunk() -> None:
    batch_id = batch(phone(), chunks(12))
    chunks_dispatch(batch_id)
    for index in range(12):
        assert queued()[index:] == [(str(batch_id), index)]
        assert run(batch_id, index) is Outcome.DONE
        imports_sweep()
    assert len(queued()) == 12
    assert batch_state(batch_id)["status"] == "COMPLETED"
