"""A message delivered again, in a real Redis as Celery leaves it: when it bites, and what its heal takes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Timer
from typing import Any, cast

import pytest
import redis

from harness.drivers.process.embedded import running_redis
from harness.drivers.protocol import Stack
from harness.errors import Inconclusive
from harness.evidence.broker_view import connect
from harness.faults.redelivery import RedeliverMessage, RedeliverReminder

BATCH = "b96eae30-2b5a-4a51-975d-0a61f43a6d05"


@dataclass(frozen=True)
class OnlyRedis:
    """As much of a stack as this fault asks for."""

    url: str

    def redis_url(self) -> str:
        return self.url


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_redis() as store:
        yield store.url


@pytest.fixture
def stack(server: str) -> Stack:
    with connect(server) as client:
        client.flushall()
    return cast(Stack, OnlyRedis(server))


@pytest.fixture
def client(stack: Stack) -> Iterator[redis.Redis]:
    with connect(stack.redis_url()) as found:
        yield found


def message(chunk: int, *, tag: str) -> dict[str, Any]:
    body = base64.b64encode(json.dumps([[BATCH, chunk], {}, {}]).encode()).decode()
    headers = {"task": "healthkit.import_chunk", "id": f"id-{tag}", "batch": BATCH, "chunk": str(chunk)}
    return {"body": body, "headers": headers, "properties": {"delivery_tag": tag}}


def work_on(client: redis.Redis, raw: dict[str, Any]) -> None:
    """As kombu notes a message that it has popped."""
    client.hset("unacked", raw["properties"]["delivery_tag"], json.dumps([raw, "", "default"]))


def pop(client: redis.Redis) -> dict[str, Any]:
    popped: Any = client.rpop("default")
    raw: dict[str, Any] = json.loads(popped)
    return raw


def injected(stack: Stack) -> tuple[RedeliverMessage, str]:
    fault = RedeliverMessage(BATCH, 3, copies=2)
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(stack)
    return fault, before


def test_bites_when_every_copy_was_popped_and_the_first_is_still_in_work(stack: Stack, client: redis.Redis) -> None:
    first = message(3, tag="t1")
    work_on(client, message(2, tag="t0"))
    work_on(client, first)
    client.lpush("default", json.dumps(message(4, tag="t2")))
    fault, before = injected(stack)
    for _ in range(2):
        assert not fault.has_bitten(before=before, now=fault.look(stack))
        again = pop(client)
        assert (again["headers"], again["body"]) == (first["headers"], first["body"])
        assert again["properties"]["delivery_tag"] != "t1"
        work_on(client, again)
    assert pop(client) == message(4, tag="t2")
    now = fault.look(stack)
    assert now.endswith("first delivery unacked; 2 copies: 0 queued, 2 delivered, 0 delivered and acked")
    assert fault.has_bitten(before=before, now=now)
    client.hdel("unacked", again["properties"]["delivery_tag"])
    now = fault.look(stack)
    assert now.endswith("0 queued, 1 delivered, 1 delivered and acked")
    assert fault.has_bitten(before=before, now=now)
    assert not fault.are_all_acked(now)


@pytest.mark.parametrize("is_first_over", [False, True], ids=["first still in work", "first over, too"])
def test_all_copies_acked_counts_while_the_first_is_in_work(
    stack: Stack, client: redis.Redis, *, is_first_over: bool
) -> None:
    work_on(client, message(3, tag="t1"))
    fault, _ = injected(stack)
    for _ in range(2):
        pop(client)
    if is_first_over:
        client.delete("unacked")
    assert fault.are_all_acked(fault.look(stack)) is not is_first_over


def test_a_first_delivery_that_is_over_is_no_bite(stack: Stack, client: redis.Redis) -> None:
    work_on(client, message(3, tag="t1"))
    fault, before = injected(stack)
    client.delete("default", "unacked")
    assert not fault.has_bitten(before=before, now=fault.look(stack))


def test_heals_by_taking_back_the_copies_that_nobody_popped(stack: Stack, client: redis.Redis) -> None:
    work_on(client, message(3, tag="t1"))
    client.lpush("default", json.dumps(message(4, tag="t2")))
    fault, _ = injected(stack)
    assert not fault.is_whole(stack)
    fault.heal(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert client.llen("default") == 1
    assert pop(client) == message(4, tag="t2")
    assert client.hlen("unacked") == 1


def test_nothing_is_delivered_again_that_was_not_delivered(stack: Stack, client: redis.Redis) -> None:
    client.lpush("default", json.dumps(message(3, tag="t1")))
    work_on(client, message(4, tag="t2"))
    with pytest.raises(Inconclusive, match="no unacked message"):
        RedeliverMessage(BATCH, 3).inject(stack)
    assert client.llen("default") == 1


def test_a_reminder_that_is_being_sent_is_delivered_again(stack: Stack, client: redis.Redis) -> None:
    work_on(client, message(3, tag="t1"))
    with pytest.raises(Inconclusive, match="a reminder that is being sent"):
        RedeliverReminder(copies=1, patience_s=0.2).inject(stack)
    fault = RedeliverReminder(copies=1, patience_s=30.0)
    headers = {"task": "reminders.send_one", "id": "r", "delivery": "7"}
    reminder = {"body": "", "headers": headers, "properties": {"delivery_tag": "t2"}}
    before = fault.look(stack)
    sent = Timer(0.2, lambda: work_on(client, reminder))
    sent.start()
    fault.inject(stack)
    sent.join()
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    assert not fault.is_whole(stack)
    again: Any = client.rpop("high")
    assert json.loads(again)["headers"] == headers
    assert fault.has_bitten(before=before, now=fault.look(stack))
    client.rpush("high", again)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert client.llen("high") == 0
