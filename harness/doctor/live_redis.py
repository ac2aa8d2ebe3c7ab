"""What a live Redis says of itself: eviction policy, append-only file, queues that wait, and whether anybody takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from harness.doctor.deployment import Broker
from harness.errors import LabError
from harness.redaction import redact

TIMEOUT_S = 3.0


def ask_redis(url: str, *, queues: Sequence[str]) -> Broker:
    """Ask; only reading commands. Raises: LabError when it does not answer or refuses."""
    client = redis.Redis.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True
    )
    try:
        waiting = {name: length for name in queues if isinstance(length := client.llen(name), int)}
        clients: Any = client.client_list()
        policy: Any = client.config_get("maxmemory-policy")
        durable: Any = client.config_get("appendonly")
        return Broker(
            where=redact(url),
            eviction=str(policy.get("maxmemory-policy")),
            appendonly=durable.get("appendonly") == "yes",
            waiting=waiting,
            consumers=sum(one.get("cmd") == "brpop" for one in clients),
        )
    except redis.RedisError as error:
        raise LabError(f"Redis at {redact(url)} does not answer as expected: {error}") from error
    finally:
        client.close()
