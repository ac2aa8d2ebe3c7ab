"""Batches end exactly once, anchors move with them."""

import uuid
from collections.abc import Callable
from functools import partial

import pytest

from healthkit.database import RawCursor, execute, fetch_all, raw_connection, raw_cursor
from healthkit.finalising import batches_finalise
from healthkit.importing.attempts import Ending, claim_end
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.importing.claim import Claim, chunk_claim
from tests.app.imports import (
    Other,
    Phone,
    batch,
    batch_state,
    count,
    in_another_session,
    parked,
    phone,
    sample,
    waiting_backend,
    with_settings,
)
from tests.app.waiting import wait_until

pytestmark = pytest.mark.usefixtures("stores")


def run(batch_id: uuid.UUID, index: int = 0) -> Outcome:
    return chunk_run(batch_id=batch_id, chunk_index=index, holder="x")


def anchors() -> list[str]:
    return [row[0] for row in fetch_all("SELECT value FROM healthkit_anchor ORDER BY id")]


def moves() -> list[tuple[str | None, str]]:
    return [(row[0], row[1]) for row in fetch_all("SELECT from_value, to_value FROM healthkit_anchor_move ORDER BY id")]


def submission(owner: Phone, start: str | None, new: str | None, minute: int) -> uuid.UUID:
    return batch(owner, [[sample(minute)]], starting_anchor=start, new_anchor=new)


def test_the_last_two_chunks_at_the_same_moment_end_the_batch_once() -> None:
    owner = phone()
    first = [sample(1)]
    batch_id = batch(owner, [first, [sample(2)]], new_anchor="a1")
    with with_settings(chunk_fanout=2), parked(owner, first[0]):
        racers = [in_another_session(partial(run, batch_id, index)) for index in (0, 1)]
        waiting_backend()
    assert [each.result() for each in racers] == [Outcome.DONE, Outcome.DONE]
    ended = batch_state(batch_id)
    assert (ended["status"], ended["done_count"]) == ("COMPLETED", 2)
    assert moves() == [(None, "a1")]


def test_an_anchor_becomes_current_when_its_batch_ends_and_not_before() -> None:
    batch_id = batch(phone(), [[sample(1)], [sample(2)]], new_anchor="a1")
    run(batch_id, 0)
    assert anchors() == []
    run(batch_id, 1)
    assert anchors() == ["a1"]


def test_a_batch_that_has_failed_moves_its_anchor_too() -> None:
    batch_id = batch(phone(), ["not json"], new_anchor="a1")
    with with_settings(chunk_retry_delays_s=()):
        run(batch_id)
    assert (batch_state(batch_id)["status"], anchors()) == ("FAILED", ["a1"])


def test_batches_that_end_out_of_order_move_the_anchor_in_order() -> None:
    owner = phone()
    first, second, third = (
        submission(owner, start, new, minute)
        for minute, (start, new) in enumerate([(None, "a1"), ("a1", "a2"), ("a2", "a3")])
    )
    run(third)
    run(second)
    assert anchors() == []
    run(first)
    assert anchors() == ["a3"]
    assert moves() == [(None, "a1"), ("a1", "a2"), ("a2", "a3")]


def failing(batch_id: uuid.UUID) -> Callable[[RawCursor], object]:
    """The batch's only chunk is claimed, and is to FAIL for good."""
    claim = chunk_claim(batch_id=batch_id, chunk_index=0, holder="x")
    assert isinstance(claim, Claim)
    return partial(claim_end, chunk_id=claim.context.chunk_id, token=claim.token, ending=Ending.DATA, error="bad")


def left_over(batch_id: uuid.UUID) -> Callable[[RawCursor], object]:
    """The batch's only chunk is counted, its end was forgotten."""
    execute(
        "UPDATE healthkit_import_chunk SET status = 'DONE', finished_at = clock_timestamp() WHERE batch_id = $1",
        batch_id,
    )
    execute("UPDATE healthkit_import_batch SET done_count = 1 WHERE id = $1", batch_id)
    return batches_finalise


def has_ended_or_waits(other: Other) -> None:
    """Wait until another session has done its part, or waits for this one (pg_locks is live inside a transaction)."""
    wait_until(
        lambda: (
            not other.thread.is_alive()
            or fetch_all("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") != []
        ),
        what="the other session, at its end or waiting",
    )


@pytest.mark.parametrize("ending", [failing, left_over])
@pytest.mark.parametrize("is_earlier_first", [True, False], ids=["earlier first", "later first"])
def test_two_batches_in_a_row_that_end_at_the_same_moment_both_move_the_anchor(
    ending: Callable[[uuid.UUID], Callable[[RawCursor], object]], is_earlier_first: bool
) -> None:
    """One ends without its user's lock and has not committed; the other, an import, sees nothing of it."""
    owner = phone()
    batches = [submission(owner, None, "a1", 1), submission(owner, "a1", "a2", 2)]
    first, second = batches if is_earlier_first else reversed(batches)
    end, raw = ending(first), raw_connection()
    with with_settings(chunk_retry_delays_s=()):
        with raw.transaction():
            end(raw_cursor(raw))
            other = in_another_session(partial(run, second))
            has_ended_or_waits(other)
        assert other.result() is Outcome.DONE
    assert (anchors(), moves()) == (["a2"], [(None, "a1"), ("a1", "a2")])


def test_a_batch_from_another_anchor_than_the_current_one_moves_nothing() -> None:
    owner = phone()
    run(submission(owner, None, "a1", 1))
    run(submission(owner, "other", "b1", 2))
    run(submission(owner, None, "b2", 3))
    assert anchors() == ["a1"]


def test_an_anchor_never_comes_back() -> None:
    owner = phone()
    run(submission(owner, None, "a1", 1))
    run(submission(owner, "a1", "a2", 2))
    assert run(submission(owner, "a2", "a1", 3)) is Outcome.DONE
    assert anchors() == ["a2"]


def test_devices_and_types_have_anchors_of_their_own() -> None:
    owner = phone()
    other = phone(user_id=owner.user_id)
    run(submission(owner, None, "a1", 1))
    run(submission(other, None, "b1", 2))
    assert anchors() == ["a1", "b1"]


def test_a_submission_without_a_new_anchor_moves_nothing() -> None:
    run(submission(phone(), None, None, 1))
    assert count("anchor") == 0


def test_counters_add_up_to_the_samples() -> None:
    known, good = sample(1), sample(2)
    batch_id = batch(phone(), [[known], [known, good, good, sample(3, value="x"), 17]])
    run(batch_id, 0)
    run(batch_id, 1)
    [row] = fetch_all(
        "SELECT sample_count, imported_count, duplicate_count, rejected_count FROM healthkit_import_chunk"
        " WHERE chunk_index = 1"
    )
    assert row == (5, 1, 2, 2)
