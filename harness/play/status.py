"""What a stack is doing now, read past the links: services, queues, what runs and what waits, chunks, phones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
import redis

from harness.drivers.protocol import STORES, Stack
from harness.experiment.health import import_problems

TIMEOUT_S = 3
QUEUES = ("default", "high")
_CHUNKS = "select status, count(*) from healthkit_import_chunk group by 1"
_BATCHES = "select status, count(*) from healthkit_import_batch group by 1"
_RUNNING = """
select claimed_by, batch_id::text, chunk_index, extract(epoch from clock_timestamp() - claimed_at)::float
from healthkit_import_chunk
where status = 'PENDING' and claim_token is not null and claim_expires_at > clock_timestamp()
order by claimed_at limit 20
"""
_CONNECTIONS = """
select split_part(application_name, ':', 1), count(*) from pg_stat_activity
where datname = current_database() and application_name <> '' group by 1
"""


def read_status(stack: Stack) -> dict[str, Any]:
    """One look; a store that does not answer is a `problem`, never an error."""
    problems = import_problems(stack)
    found: dict[str, Any] = {
        "driver": stack.driver,
        "name": stack.name,
        "services": {
            name: {"state": str(stack.state(name)), "processes": len(stack.processes(name))}
            for name in (*stack.replicas(), *STORES)
        },
        "api_urls": dict(stack.api_urls()),
        "alarms": [f"{each.replica}: {each.text}" for each in problems.found],
        "problems": list(problems.unreadable),
    }
    for part in (_from_redis, _from_postgres):
        try:
            found |= part(stack)
        except (redis.RedisError, psycopg.Error) as error:
            found["problems"].append(f"{part.__name__.removeprefix('_from_')}: {type(error).__name__}")
    return found


def _from_redis(stack: Stack) -> Mapping[str, Any]:
    client = redis.Redis.from_url(stack.redis_url(), socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    try:
        queues = {name: _count(client.llen(name)) for name in QUEUES}
        return {"queues": queues, "unacked": _count(client.hlen("unacked"))}
    finally:
        client.close()


def _from_postgres(stack: Stack) -> Mapping[str, Any]:
    options = "-c statement_timeout=3000"
    with psycopg.connect(
        stack.dsn(), autocommit=True, application_name="chaoslab", connect_timeout=TIMEOUT_S, options=options
    ) as session:
        return {
            "chunks": {str(status): int(count) for status, count in session.execute(_CHUNKS).fetchall()},
            "batches": {str(status): int(count) for status, count in session.execute(_BATCHES).fetchall()},
            "connections": {str(who): int(count) for who, count in session.execute(_CONNECTIONS).fetchall()},
            "running": [
                {"worker": str(worker), "batch": batch, "chunk": chunk, "for_s": round(for_s, 1)}
                for worker, batch, chunk, for_s in session.execute(_RUNNING).fetchall()
            ],
            "records": _one(session, "select count(*) from healthkit_data_record"),
            "dead_letters": _one(session, "select count(*) from healthkit_dead_letter where redriven_at is null"),
        }


def _count(answer: object) -> int:
    """What a client without asyncio answers; its type says that it could be an awaitable."""
    return answer if isinstance(answer, int) else 0


def _one(session: psycopg.Connection[Any], query: str) -> int:
    row = session.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
