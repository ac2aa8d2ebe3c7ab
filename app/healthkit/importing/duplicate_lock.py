"""A lock in Redis that keeps a second delivery of a chunk from troubling Postgres.

Correctness never rests on it: it may expire, be flushed, or not be had at all, and then the claim decides. It lives for
one sweep, so that one left behind by a killed worker is gone before the chunk is dispatched again. Its value is its
owner's token, so that nobody releases another's.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.core.cache import cache
from redis.exceptions import RedisError

from backend.env import config

_LOGGER = logging.getLogger(__name__)


@contextmanager
def duplicate_lock(*, batch_id: UUID, chunk_index: int) -> Iterator[bool]:
    """False when another delivery of the chunk holds the lock; True when it is ours, or Redis is of no use."""
    name, time_to_live_s = f"import:{batch_id}:{chunk_index}", config().sweep_interval_s
    lock = cache.lock(name, timeout=time_to_live_s, blocking=False)  # type: ignore[attr-defined]  # django-redis has it
    try:
        is_free = bool(lock.acquire())
    except (RedisError, OSError) as error:
        _LOGGER.debug("no duplicate lock: %s", error)
        yield True
        return
    try:
        yield is_free
    finally:
        if is_free:
            try:
                lock.release()
            except (RedisError, OSError) as error:
                # It expired, was flushed, or Redis is away; then there is nothing of ours to release.
                _LOGGER.debug("duplicate lock not released: %s", error)
