"""The lock in Redis saves work; whatever happens to it, each chunk is imported once."""

import os
import uuid
from unittest.mock import patch

import pytest
import redis
from django.core.cache import cache

from healthkit.importing.duplicate_lock import duplicate_lock
from healthkit.tasks import import_chunk
from tests.app.imports import batch, chunk_state, count, phone, sample

pytestmark = pytest.mark.usefixtures("stores")


def a_batch() -> uuid.UUID:
    return batch(phone(), [[sample(1)]])


def lock_of(batch_id: uuid.UUID) -> redis.lock.Lock:
    """The lock as another process makes it."""
    lock: redis.lock.Lock = cache.lock(  # type: ignore[attr-defined]  # django-redis has it
        f"import:{batch_id}:0", timeout=1.0, blocking=False
    )
    return lock


def test_a_delivery_that_meets_the_lock_is_a_no_op_without_a_claim() -> None:
    batch_id = a_batch()
    with duplicate_lock(batch_id=batch_id, chunk_index=0) as is_free:
        assert is_free
        assert import_chunk(str(batch_id), 0) == "refused"
        assert chunk_state(batch_id)["executions"] == 0
    assert import_chunk(str(batch_id), 0) == "done"


def test_a_lock_left_behind_ends_within_a_sweep() -> None:
    batch_id = a_batch()
    left_behind = lock_of(batch_id)
    assert left_behind.acquire()
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        [key] = client.keys("*import:*")
        assert 0 < client.pttl(key) <= 1000
        client.delete(key)  # what its time to live will do
    assert import_chunk(str(batch_id), 0) == "done"


def test_a_lock_that_was_flushed_or_taken_by_another_is_not_released_by_its_first_owner() -> None:
    batch_id = a_batch()
    with duplicate_lock(batch_id=batch_id, chunk_index=0):
        with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
            client.flushall()
        other = lock_of(batch_id)
        assert other.acquire()
    with duplicate_lock(batch_id=batch_id, chunk_index=0) as is_free:
        assert not is_free


@pytest.mark.parametrize("lost", ["expired", "redis away"])
def test_without_the_lock_the_claim_decides(lost: str) -> None:
    batch_id = a_batch()
    error = redis.exceptions.ConnectionError("away")
    with patch(
        "redis.lock.Lock.acquire", **({"side_effect": error} if lost == "redis away" else {"return_value": True})
    ):
        outcomes = [import_chunk(str(batch_id), 0) for _ in range(2)]
    assert outcomes == ["done", "refused"]
    assert count("data_record") == 1
