"""Reset: an untouched stack is made like new in a fraction of a second, so that the next scenario may have it."""

from __future__ import annotations

from typing import Final

import httpx
import psycopg
import redis

from harness.drivers.protocol import Stack
from harness.errors import LabError
from harness.tls import trusted

KEPT_TABLES: Final = (
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "healthkit_sample_type",
    "scheduling_beat_lease",
)
KEPT_PREFIXES: Final = ("django_celery_beat_",)
KEPT_KEYS: Final = (b"_kombu.binding.", b"consumer:")
LOCK_TIMEOUT_MS: Final = 5000


def reset(stack: Stack) -> None:
    """Empty every table but the seeded ones, every key but kombu's bindings and workers' presence, the receiver.

    Raises: LabError when a session still holds a lock after 5 s: then something is in flight, and it must not be reset;
    or when one of them does not answer as it should.
    """
    try:
        _empty_tables(stack)
        _empty_keys(stack)
        _forget_received(stack)
    except (psycopg.Error, redis.RedisError, httpx.HTTPError) as error:
        raise LabError(f"{stack.name} could not be reset: {error!r}") from error


def _empty_tables(stack: Stack) -> None:
    with psycopg.connect(stack.dsn(), application_name="chaoslab") as session:
        session.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
        tables = [
            str(name)
            for (name,) in session.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
        ]
        emptied = [f'"{each}"' for each in tables if each not in KEPT_TABLES and not each.startswith(KEPT_PREFIXES)]
        session.execute(f"truncate {', '.join(sorted(emptied))} restart identity")  # names come from pg_tables


def _empty_keys(stack: Stack) -> None:
    client = redis.Redis.from_url(stack.redis_url(), socket_timeout=20.0)
    try:
        keys = [key for key in client.scan_iter(count=1000) if not key.startswith(KEPT_KEYS)]
        for at in range(0, len(keys), 1000):
            client.delete(*keys[at : at + 1000])
    finally:
        client.close()


def _forget_received(stack: Stack) -> None:
    with httpx.Client(base_url=stack.receiver_url(), timeout=5.0, verify=trusted()) as receiver:
        receiver.put("/behaviour", json={"status": 200, "drop": False, "delay_s": 0}).raise_for_status()
        receiver.delete("/received").raise_for_status()
