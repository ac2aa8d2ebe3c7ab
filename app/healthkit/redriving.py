"""Putting back what will not run again by itself: a chunk, a batch or a dead letter (a reminder's, too).

Idempotent: what is not FAILED (any more) is left alone, and a second call puts nothing back. Every call leaves an audit
row. A chunk that is put back starts with fresh counters; its batch is open again until it is dealt with.

Locks are taken in the order of imports: chunks, batch, dead letters (docs/decisions/0014-order-of-locks.md). A message
is published first and noted afterwards: who dies in between leaves a letter that can be put back again, and its second
message finds nothing to do.
"""

from typing import Any, LiteralString
from uuid import UUID

from backend.publish import publish
from healthkit.database import RawCursor, fetch_all, fetch_one, raw_connection, raw_cursor
from healthkit.dispatching import chunks_dispatch
from healthkit.importing.rejected import rejected_reimport
from healthkit.jsonb import jsonb_value
from healthkit.models.redrive import RedriveKind
from reminders.refusals import delivery_of, delivery_put_back

_CHUNK_BY_INDEX: LiteralString = (
    "SELECT id, batch_id FROM healthkit_import_chunk WHERE batch_id = $1 AND chunk_index = $2"
)
_CHUNK_BY_ID: LiteralString = "SELECT id, batch_id FROM healthkit_import_chunk WHERE id = $1"
_BATCH: LiteralString = "SELECT id FROM healthkit_import_batch WHERE id = $1"
_LETTER: LiteralString = """
SELECT chunk_id, task_name, message_id, payload, redriven_at IS NOT NULL FROM healthkit_dead_letter WHERE id = $1
"""

# Chunks in the order of their ids, then the batch: the order in which an import locks its own.
_CHUNKS_BACK: LiteralString = """
WITH failed AS (
    SELECT id FROM healthkit_import_chunk
    WHERE batch_id = $1 AND status = 'FAILED' AND ($2::bigint IS NULL OR id = $2) ORDER BY id FOR UPDATE
)
UPDATE healthkit_import_chunk c
SET status = 'PENDING', finished_at = NULL, data_attempts = 0, interruptions = 0, infra_attempts = 0,
    next_attempt_at = NULL, next_dispatch_at = NULL, dispatch_count = 0
FROM failed WHERE c.id = failed.id AND c.status = 'FAILED'
RETURNING c.id
"""

_BATCH_BACK: LiteralString = """
UPDATE healthkit_import_batch
SET failed_count = failed_count - $2, finished_at = NULL, moved_at = clock_timestamp(),
    status = CASE WHEN status = 'ABANDONED' THEN status ELSE 'PROCESSING' END
WHERE id = $1 AND status IN ('PROCESSING', 'COMPLETED', 'FAILED', 'ABANDONED')
"""

_LETTERS_OF_CHUNKS: LiteralString = """
UPDATE healthkit_dead_letter SET redriven_at = clock_timestamp()
WHERE chunk_id = ANY($1::bigint[]) AND redriven_at IS NULL
"""

_LETTER_OF_MESSAGE: LiteralString = """
UPDATE healthkit_dead_letter SET redriven_at = clock_timestamp()
WHERE task_name = $1 AND message_id = $2 AND redriven_at IS NULL
"""
_AUDIT: LiteralString = "INSERT INTO healthkit_redrive (kind, target, actor, redriven_count) VALUES ($1, $2, $3, $4)"


class TargetNotFound(LookupError):
    """There is no such chunk, batch or dead letter."""


def redrive(*, kind: RedriveKind, target: str, actor: str) -> int:
    """Put back what `target` names, and say how much that was: chunks, plus 1 for a message or a reminder.

    `target`: a batch's id; a chunk's id or "<batch id>:<index>"; a dead letter's id. A batch's redrive also imports
    those of its rejected samples that can be taken by now (its type has got a row, say), and counts their chunks.
    Raises: `TargetNotFound`; `INFRASTRUCTURE_ERRORS`.
    """
    match kind:
        case RedriveKind.BATCH:
            return _batch_redrive(target, actor)
        case RedriveKind.CHUNK:
            return _chunk_redrive(target, actor)
        case RedriveKind.DEAD_LETTER:
            return _letter_redrive(target, actor)


def _batch_redrive(target: str, actor: str) -> int:
    raw = raw_connection()
    cursor = raw_cursor(raw)
    batch_id = _uuid(target)
    if cursor.execute(_BATCH, (batch_id,)).fetchone() is None:
        raise TargetNotFound(target)
    with raw.transaction():
        count = _chunks_back(cursor, batch_id, None)
        _audit(cursor, RedriveKind.BATCH, target, actor, count)
    chunks_dispatch(batch_id)
    reimported = rejected_reimport(batch_id)
    if reimported:
        with raw.transaction():
            _audit(cursor, RedriveKind.BATCH, target, actor, reimported)
    return count + reimported


def _chunk_redrive(target: str, actor: str) -> int:
    batch_text, has_index, index = target.replace("/", ":").rpartition(":")
    number = _number(index)
    row = fetch_one(_CHUNK_BY_INDEX, _uuid(batch_text), number) if has_index else fetch_one(_CHUNK_BY_ID, number)
    if row is None:
        raise TargetNotFound(target)
    return _chunk_back(RedriveKind.CHUNK, target, actor, *row)


def _letter_redrive(target: str, actor: str) -> int:
    row = fetch_one(_LETTER, _number(target))
    if row is None:
        raise TargetNotFound(target)
    chunk_id, task_name, message_id, text, is_done = row
    if chunk_id is not None:
        [chunk] = fetch_all(_CHUNK_BY_ID, chunk_id)
        return _chunk_back(RedriveKind.DEAD_LETTER, target, actor, *chunk)
    delivery_id = delivery_of(task_name=task_name, message_id=message_id)
    if delivery_id is not None:
        return _delivery_back(target, actor, delivery_id, task_name=task_name, message_id=message_id)
    is_sent = not is_done and _message_publish(jsonb_value(text))
    raw = raw_connection()
    cursor = raw_cursor(raw)
    with raw.transaction():
        count = cursor.execute(_LETTER_OF_MESSAGE, (task_name, message_id)).rowcount if is_sent else 0
        _audit(cursor, RedriveKind.DEAD_LETTER, target, actor, count)
    return count


def _chunk_back(kind: RedriveKind, target: str, actor: str, chunk_id: int, batch_id: UUID) -> int:
    raw = raw_connection()
    cursor = raw_cursor(raw)
    with raw.transaction():
        count = _chunks_back(cursor, batch_id, chunk_id)
        _audit(cursor, kind, target, actor, count)
    chunks_dispatch(batch_id)
    return count


def _delivery_back(target: str, actor: str, delivery_id: int, *, task_name: str, message_id: str) -> int:
    """Beat's next look for due reminders sends it. Whichever letter was named, the one that is open is dealt with."""
    raw = raw_connection()
    cursor = raw_cursor(raw)
    with raw.transaction():
        count = delivery_put_back(cursor, delivery_id)
        cursor.execute(_LETTER_OF_MESSAGE, (task_name, message_id))
        _audit(cursor, RedriveKind.DEAD_LETTER, target, actor, count)
    return count


def _chunks_back(cursor: RawCursor, batch_id: UUID, chunk_id: int | None) -> int:
    ids = [row[0] for row in cursor.execute(_CHUNKS_BACK, (batch_id, chunk_id)).fetchall()]
    if ids:
        cursor.execute(_BATCH_BACK, (batch_id, len(ids)))
        cursor.execute(_LETTERS_OF_CHUNKS, (ids,))
    return len(ids)


def _audit(cursor: RawCursor, kind: RedriveKind, target: str, actor: str, count: int) -> None:
    cursor.execute(_AUDIT, (kind.value, target, actor, count))


def _message_publish(payload: dict[str, Any]) -> bool:
    """Publish a dead letter's message again; one that could not be decoded is kept for a person."""
    task = payload.get("task")
    return isinstance(task, str) and publish(task, payload.get("args") or (), kwargs=payload.get("kwargs") or {})


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise TargetNotFound(text) from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise TargetNotFound(text)
    return int(text)
