"""One user's imports are serial, whatever the batches; different users' are not."""

import uuid

import pytest

from healthkit.database import fetch_all
from healthkit.importing.chunk import Outcome, chunk_run
from tests.app.imports import batch, in_another_session, parked, phone, sample, waiting_backend
from tests.app.waiting import wait_until

pytestmark = pytest.mark.usefixtures("stores")


def run(batch_id: uuid.UUID) -> Outcome:
    return chunk_run(batch_id=batch_id, chunk_index=0, holder="x")


def wait_for_user_lock() -> None:
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%accounts_user%NO KEY UPDATE%'"
    )
    wait_until(lambda: fetch_all(query) != [], what="somebody waits for the user's row")


def test_two_batches_of_one_user_on_the_same_days_take_turns_and_add_up() -> None:
    owner = phone()
    first = [sample(1, day=5, value=10), sample(1, day=6, value=20)]
    second = [sample(2, day=6, value=40), sample(2, day=5, value=30)]
    batches = [batch(owner, [first]), batch(owner, [second])]
    with parked(owner, first[1]):
        one = in_another_session(lambda: run(batches[0]))
        waiting_backend()
        two = in_another_session(lambda: run(batches[1]))
        wait_for_user_lock()
    assert [one.result(), two.result()] == [Outcome.DONE, Outcome.DONE]
    assert fetch_all("SELECT day::text, mean, sample_count FROM healthkit_daily_aggregate ORDER BY day") == [
        ("2025-10-05", 20.0, 2),
        ("2025-10-06", 30.0, 2),
    ]


def test_another_user_does_not_wait() -> None:
    owner = phone()
    held = [sample(1)]
    held_batch = batch(owner, [held])
    with parked(owner, held[0]):
        other = in_another_session(lambda: run(held_batch))
        waiting_backend()
        assert run(batch(phone(), [[sample(1)]])) is Outcome.DONE
    assert other.result() is Outcome.DONE


def test_days_of_other_users_types_and_dates_are_not_touched() -> None:
    owner = phone()
    run(batch(owner, [[sample(1, day=5)]]))
    run(batch(phone(), [[sample(1, day=5)]]))
    before = fetch_all("SELECT id, updated_at FROM healthkit_daily_aggregate ORDER BY id")
    run(batch(owner, [[sample(1, day=6)]]))
    assert fetch_all("SELECT id, updated_at FROM healthkit_daily_aggregate ORDER BY id")[:2] == before
