"""Quiesce: wait until nothing is in flight, or until the caller's deadline; then say what still moved."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import redis

from harness.clock import Timeout, wait_for
from harness.errors import WaitTimeout
from harness.evidence.broker_view import Message, connect, messages

_NAMED = 50
_MOVING_SQL = {
    "batch": """
        SELECT b.id::text || ' ' || b.status || ', ' || b.done_count || ' done and ' || b.failed_count || ' failed of '
               || b.chunk_count
        FROM healthkit_import_batch b
        WHERE b.status = 'PROCESSING' OR (b.status = 'PENDING' AND (
              SELECT count(*) FROM healthkit_import_chunk c WHERE c.batch_id = b.id) >= b.chunk_count)
        ORDER BY b.id LIMIT %s""",
    "chunk": """
        SELECT c.batch_id::text || '/' || c.chunk_index || ' ' || c.status
        FROM healthkit_import_chunk c JOIN healthkit_import_batch b ON b.id = c.batch_id
        WHERE c.status = 'PENDING' AND b.status NOT IN ('PENDING', 'PROCESSING') ORDER BY 1 LIMIT %s""",
    "reminder": """
        SELECT r.id::text || ' due ' || r.due_at FROM reminders_reminder r
        WHERE NOT EXISTS (SELECT 1 FROM reminders_delivery d WHERE d.reminder_id = r.id AND d.due_at = r.due_at
                          AND d.status <> 'pending') ORDER BY 1 LIMIT %s""",
}
_ENDED_BATCHES = "SELECT id::text FROM healthkit_import_batch WHERE status IN ('COMPLETED', 'FAILED', 'ABANDONED')"
_ENDED_CHUNKS = "SELECT batch_id::text, chunk_index FROM healthkit_import_chunk WHERE status IN ('DONE', 'FAILED')"
_ENDED_DELIVERIES = "SELECT id::text FROM reminders_delivery WHERE status <> 'pending'"


@dataclass(frozen=True, slots=True)
class Quiet:
    """How quiescing ended: what still moved (empty: nothing)."""

    moving: tuple[str, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was in flight."""
        return not self.moving


def moving(dsn: str, redis_url: str) -> tuple[str, ...]:
    """What is in flight at this moment, in words; a store that does not answer counts as moving.

    Not in flight: batches whose phone has not uploaded everything; the schedule's own messages; an unacked entry whose
    work is finished (its redelivery is a no-op that comes much later).
    """
    try:
        with psycopg.connect(dsn, connect_timeout=2, application_name="chaoslab") as session:
            session.execute("SET statement_timeout = '10s'")
            found = [
                f"{kind} {text}"
                for kind, sql in _MOVING_SQL.items()
                for (text,) in session.execute(sql, (_NAMED,)).fetchall()
            ]
            in_broker = [each for each in _in_broker(redis_url) if not each.is_tick]
            if in_broker:
                found += _unfinished(session, in_broker)
    except (psycopg.Error, redis.RedisError, OSError) as error:
        return (f"{type(error).__name__}: {error}",)
    return tuple(found)


def quiesce(dsn: str, redis_url: str, *, timeout_s: Timeout, interval_s: float = 0.2) -> Quiet:
    """Wait until nothing moves in two looks in a row, at most `timeout_s`."""
    seen: tuple[str, ...] = ("nothing was looked at",)
    quiet_looks = 0

    def is_quiet() -> bool:
        nonlocal seen, quiet_looks
        seen = moving(dsn, redis_url)
        quiet_looks = 0 if seen else quiet_looks + 1
        return quiet_looks >= 2

    try:
        wait_for(is_quiet, awaiting="nothing in flight", timeout_s=timeout_s, interval_s=interval_s)
    except WaitTimeout:
        return Quiet(moving=seen)
    return Quiet(moving=())


def _in_broker(redis_url: str) -> list[Message]:
    client = connect(redis_url)
    try:
        return messages(client)
    finally:
        client.close()


def _unfinished(session: psycopg.Connection[tuple[object, ...]], found: list[Message]) -> list[str]:
    """Messages that still mean work: anything in a queue, and unacked entries whose work is not finished."""
    batches = {str(row[0]) for row in session.execute(_ENDED_BATCHES).fetchall()}
    chunks = {(str(row[0]), row[1]) for row in session.execute(_ENDED_CHUNKS).fetchall()}
    deliveries = {str(row[0]) for row in session.execute(_ENDED_DELIVERIES).fetchall()}

    def is_finished(message: Message) -> bool:
        if message.delivery is not None:
            return message.delivery in deliveries
        if message.batch is not None and message.index is not None:
            return (message.batch, message.index) in chunks
        return message.batch is None or message.batch in batches

    return [
        f"message {each.task} {each.batch or each.delivery or each.message_id} in {each.place} {each.queue}"
        for each in found
        if each.place == "queue" or not is_finished(each)
    ]
