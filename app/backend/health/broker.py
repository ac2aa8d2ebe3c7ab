"""What the broker knows: depth and oldest message of each routed queue, who consumes it, whether it may evict.

Read with a client of its own, whose every step is bounded by PUBLISH_BOUND_S: a frozen Redis costs one such wait.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import orjson
import redis
from django.conf import settings

from backend.clock import now_utc
from backend.env import config
from backend.health.problem import Problem, ProblemCode

# Kept by each worker that hears its broker, with a time to live.
CONSUMER_KEY = "consumer:{queue}:{replica}"
MAX_SCANS = 200  # times 1,000 keys; the cache may live in the same database
SAFE_POLICY = "noeviction"


@dataclass(frozen=True, slots=True)
class QueueState:
    """`oldest_s`: age of the message that is next to be delivered, None when there is none or it does not tell."""

    name: str
    depth: int
    oldest_s: float | None
    consumers: int


@dataclass(frozen=True, slots=True)
class BrokerState:
    """One reading of the broker."""

    queues: tuple[QueueState, ...]
    eviction_policy: str


def broker_read() -> BrokerState:
    """Read the broker. Raises: `redis.RedisError`, bounded in time."""
    bound_s = config().publish_bound_s
    with redis.Redis.from_url(
        config().redis_url,
        socket_connect_timeout=bound_s,
        socket_timeout=bound_s,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        lib_name=None,
        lib_version=None,
    ) as client:
        names = queue_names()
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.llen(name).lindex(name, -1)
        pipeline.info("memory")
        *answers, memory = pipeline.execute()
        consumed = list(_consumed(client))
    queues = tuple(
        QueueState(
            name=name,
            depth=answers[2 * position],
            oldest_s=_age_s(answers[2 * position + 1]),
            consumers=consumed.count(name),
        )
        for position, name in enumerate(names)
    )
    return BrokerState(queues=queues, eviction_policy=str(memory.get("maxmemory_policy", SAFE_POLICY)))


def queue_names() -> tuple[str, ...]:
    """The routed queues."""
    return tuple(queue.name for queue in settings.CELERY_TASK_QUEUES)


def broker_problems(state: BrokerState) -> list[Problem]:
    """What is wrong with a reading."""
    return [*_queue_problems(state.queues), *_eviction_problem(state.eviction_policy)]


def _queue_problems(queues: Sequence[QueueState]) -> Iterator[Problem]:
    overdue_s = config().overdue_s
    for queue in queues:
        if not queue.consumers:
            detail = f"no live worker consumes it; {queue.depth} messages wait"
            yield Problem(code=ProblemCode.QUEUE_WITHOUT_CONSUMER, detail=detail, queue=queue.name)
        if queue.oldest_s is not None and queue.oldest_s > overdue_s:
            detail = f"its next message has waited for {queue.oldest_s:.1f} s (overdue after {overdue_s:g} s)"
            yield Problem(code=ProblemCode.MESSAGE_OVERDUE, detail=detail, queue=queue.name)


def _eviction_problem(policy: str) -> Iterator[Problem]:
    if policy != SAFE_POLICY:
        detail = f"maxmemory-policy is {policy}: messages may be evicted; set {SAFE_POLICY}"
        yield Problem(code=ProblemCode.BROKER_EVICTION_UNSAFE, detail=detail)


def _consumed(client: redis.Redis) -> Iterator[str]:
    """The queue of each live consumer key; stops looking after `MAX_SCANS` steps."""
    prefix, _, _ = CONSUMER_KEY.partition("{")
    cursor = 0
    seen: set[bytes] = set()
    for _ in range(MAX_SCANS):
        found = client.scan(cursor=cursor, match=f"{prefix}*", count=1_000)
        cursor, keys = cast("tuple[int, list[bytes]]", found)
        seen.update(keys)
        if cursor == 0:
            break
    for key in seen:
        yield key.decode().removeprefix(prefix).partition(":")[0]


def _age_s(message: bytes | None) -> float | None:
    """Age by the header `published_at`; None when there is no message, or one that does not tell."""
    if message is None:
        return None
    try:
        headers: dict[str, Any] = orjson.loads(message)["headers"]
        published_at = datetime.fromisoformat(headers["published_at"])
        return (now_utc() - published_at).total_seconds()
    except (ValueError, KeyError, TypeError):
        return None
