"""What lies in Redis: queues, unacked messages and keys of the cache, read directly, decoded as far as anyone needs."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import redis

NEVER = -1  # as PTTL tells it
# kombu keeps a queue of a lower priority under the queue's name, this separator and the priority.
PRIORITY_SEPARATOR = "\x06\x16"


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `place` is "queue" or "unacked"; `age_s` since it was delivered (unacked only)."""

    place: str
    queue: str
    task: str | None
    message_id: str | None
    batch: str | None = None
    index: int | None = None
    tick: str | None = None
    delivery: str | None = None
    age_s: float | None = None

    @property
    def is_tick(self) -> bool:
        """Whether it is one of the schedule's own, which come and go all the time."""
        return self.tick is not None


def connect(redis_url: str, *, timeout_s: float = 20.0) -> redis.Redis:
    """A client whose every call is bounded; by default so that a machine that stands still for a while fails nobody."""
    return redis.Redis.from_url(redis_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)


def depths(client: redis.Redis) -> tuple[dict[str, int], int]:
    """Messages per queue, priorities summed up, and how many are unacked."""
    queues: dict[str, int] = {}
    unacked = 0
    for key, kind in _keys(client):
        if kind == b"list":
            name = _queue_name(key)
            queues[name] = queues.get(name, 0) + _number(client.llen(key))
        elif kind == b"hash" and key.endswith("unacked"):
            unacked += _number(client.hlen(key))
    return queues, unacked


def messages(client: redis.Redis, *, limit: int = 100_000) -> list[Message]:
    """Every message in every queue and unacked, at most `limit` per key; undecodable ones have no task."""
    found: list[Message] = []
    now_s = time.time()  # kombu's own scores are wall-clock seconds
    for key, kind in _keys(client):
        if kind == b"list":
            raws: Any = client.lrange(key, 0, limit - 1)
            found += [_decoded(raw, place="queue", queue=_queue_name(key)) for raw in raws]
        elif kind == b"hash" and key.endswith("unacked"):
            scores = _scores(client, f"{key}_index")
            entries: Any = client.hgetall(key)
            for tag, raw in entries.items():
                age_s = now_s - scores[tag] if tag in scores else None
                found.append(_unacked(raw, age_s=age_s))
    return found


def immortal_keys(client: redis.Redis) -> list[str]:
    """Plain values that never expire; queues and what belongs to them are of other types."""
    names = [key for key, kind in _keys(client) if kind == b"string"]
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.pttl(name)
    return [name for name, left_ms in zip(names, pipe.execute(), strict=True) if left_ms == NEVER]


def _keys(client: redis.Redis) -> list[tuple[str, bytes]]:
    """Names and types of what may hold messages."""
    names = [name.decode("utf-8", "replace") for name in client.scan_iter(count=1000)]
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.type(name)
    return list(zip(names, pipe.execute(), strict=True))


def _queue_name(key: str) -> str:
    return key.partition(PRIORITY_SEPARATOR)[0]


def _number(value: Any) -> int:
    return int(value)


def _scores(client: redis.Redis, key: str) -> Mapping[bytes, float]:
    pairs: Any = client.zrange(key, 0, -1, withscores=True)
    return dict(pairs)


def _unacked(raw: bytes, *, age_s: float | None) -> Message:
    """An entry of the hash is [message, exchange, routing key]."""
    try:
        message, _exchange, routing_key = orjson.loads(raw)
    except (orjson.JSONDecodeError, ValueError):
        return Message(place="unacked", queue="", task=None, message_id=None, age_s=age_s)
    return _parsed(message, place="unacked", queue=str(routing_key), age_s=age_s)


def _decoded(raw: bytes, *, place: str, queue: str) -> Message:
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Message(place=place, queue=queue, task=None, message_id=None)
    return _parsed(message, place=place, queue=queue, age_s=None)


def _parsed(message: Any, *, place: str, queue: str, age_s: float | None) -> Message:
    headers: Mapping[str, Any] = message.get("headers") or {} if isinstance(message, dict) else {}
    task = headers.get("task")
    args = _arguments(message) if isinstance(message, dict) else []
    batch, index = headers.get("batch"), headers.get("chunk")
    delivery = headers.get("delivery")
    # The arguments say it where the headers do not (another app, a planted defect).
    if batch is None and str(task).startswith("healthkit.import_") and args:
        batch = args[0]
    if index is None and task == "healthkit.import_chunk" and len(args) > 1:
        index = args[1]
    if delivery is None and task == "reminders.send_one" and args:
        delivery = args[0]
    return Message(
        place=place,
        queue=queue,
        task=None if task is None else str(task),
        message_id=None if headers.get("id") is None else str(headers["id"]),
        batch=None if batch is None else str(batch),
        index=whole_number(index),
        tick=None if headers.get("tick") is None else str(headers["tick"]),
        delivery=None if delivery is None else str(delivery),
        age_s=age_s,
    )


def _arguments(message: Mapping[str, Any]) -> list[Any]:
    try:
        body = orjson.loads(base64.b64decode(message["body"]))
        return list(body[0])
    except (KeyError, TypeError, IndexError, binascii.Error, orjson.JSONDecodeError, ValueError):
        return []


def whole_number(value: object) -> int | None:
    """A chunk index out of a header, which may be a number or its text; None for anything else."""
    text = str(value)
    return int(text) if text.isdigit() else None
