"""Messages in a real Redis, as Celery leaves them: queues, priorities, unacked."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from harness.drivers.process.embedded import running_redis
from harness.evidence.broker_view import connect, depths, immortal_keys, messages


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with running_redis() as server:
        found = connect(server.url)
        yield found
        found.close()


def message(task: str, args: list[Any], **headers: str) -> str:
    body = base64.b64encode(json.dumps([args, {}, {}]).encode()).decode()
    return json.dumps({"body": body, "headers": {"task": task, "id": "m-1", **headers}, "properties": {}})


def test_messages_and_depths(client: redis.Redis) -> None:
    client.flushall()
    client.lpush("default", message("healthkit.import_batch", ["B"]), message("healthkit.sweep", [], tick="s|t"))
    client.lpush("default\x06\x163", message("healthkit.import_chunk", ["B", 4]))
    client.lpush("high", message("reminders.send_one", [7]), "not json")
    unacked = json.dumps([json.loads(message("healthkit.import_chunk", [], batch="C", chunk="2")), "", "default"])
    client.hset("unacked", "tag", unacked)
    client.zadd("unacked_index", {"tag": time.time() - 30})
    client.set("backend:1:some cache key", "x")
    assert depths(client) == ({"default": 3, "high": 2}, 1)
    found = {(m.place, m.queue, m.task, m.batch, m.index, m.delivery, m.is_tick) for m in messages(client)}
    assert found == {
        ("queue", "default", "healthkit.import_batch", "B", None, None, False),
        ("queue", "default", "healthkit.sweep", None, None, None, True),
        ("queue", "default", "healthkit.import_chunk", "B", 4, None, False),
        ("queue", "high", "reminders.send_one", None, None, "7", False),
        ("queue", "high", None, None, None, None, False),
        ("unacked", "default", "healthkit.import_chunk", "C", 2, None, False),
    }
    [age_s] = [m.age_s for m in messages(client) if m.age_s is not None]
    assert 30 <= age_s < 90


def test_what_never_expires(client: redis.Redis) -> None:
    client.flushall()
    client.lpush("default", message("healthkit.import_batch", ["B"]))
    client.set("a code", "123456", ex=60)
    assert immortal_keys(client) == []
    client.incr("a counter")
    assert immortal_keys(client) == ["a counter"]
