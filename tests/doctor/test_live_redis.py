"""What the doctor asks of a live Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from harness.doctor.deployment import Deployment
from harness.doctor.examination import examine
from harness.doctor.live_redis import ask_redis
from harness.drivers.process.embedded import running_redis
from harness.errors import LabError


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_redis() as running:
        yield running.url


def test_a_sound_one(url: str) -> None:
    broker = ask_redis(url, queues=("default",))
    assert (broker.eviction, broker.appendonly, broker.waiting, broker.consumers) == (
        "noeviction",
        True,
        {"default": 0},
        0,
    )
    assert examine(Deployment(brokers=(broker,))) == ()


def test_one_that_may_evict_and_that_nobody_reads(url: str) -> None:
    client = redis.Redis.from_url(url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.lpush("default", "message")
    client.close()
    found = examine(Deployment(brokers=(ask_redis(url, queues=("default",)),)))
    assert {(one.rule, one.hazard) for one in found} == {("eviction", "B13"), ("queue_without_consumer", "C5")}


def test_one_that_does_not_answer() -> None:
    with pytest.raises(LabError, match=r"redis://:\*\*\*@127\.0\.0\.1:1/0 does not answer"):
        ask_redis("redis://:secret@127.0.0.1:1/0", queues=())
