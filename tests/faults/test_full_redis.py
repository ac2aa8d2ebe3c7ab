"""The full Redis, on a real one: writes are refused and reads are not, until the old limit is back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import redis

from harness.drivers.process.embedded import running_redis
from harness.drivers.protocol import Stack
from harness.errors import LabError
from harness.faults.broker import FillRedis

LIMIT = str(64 * 1024 * 1024)


class OnlyRedis:
    """As much of a stack as this fault asks for."""

    def __init__(self, url: str) -> None:
        self._url = url

    def redis_url(self) -> str:
        return self._url


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_redis() as store:
        yield store.url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.config_set("maxmemory", LIMIT)
        client.config_set("maxmemory-policy", "noeviction")
        yield client


@pytest.fixture
def stack(url: str) -> Stack:
    return cast(Stack, OnlyRedis(url))


def test_writes_are_refused_until_the_old_limit_is_back(stack: Stack, client: redis.Redis) -> None:
    client.lpush("waiting", "message")
    fault = FillRedis()
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(stack)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    assert not fault.is_whole(stack)
    with pytest.raises(redis.OutOfMemoryError):
        client.lpush("waiting", "another")
    assert client.rpop("waiting") == "message"
    fault.heal(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert client.config_get("maxmemory") == {"maxmemory": LIMIT}
    assert client.lpush("waiting", "another") == 1
    assert client.keys("chaoslab:*") == []


def test_where_it_would_evict_nothing_is_done(stack: Stack, client: redis.Redis) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    fault = FillRedis()
    with pytest.raises(LabError, match="would evict"):
        fault.inject(stack)
    fault.heal(stack)
    assert client.config_get("maxmemory") == {"maxmemory": LIMIT}
