"""Putting back what will not run again by itself: a chunk, a batch or a dead letter.

Idempotent: what is not FAILED (any more) is left alone, and a second call puts nothing back. Every call leaves an audit
row. A chunk that is put back starts with fresh counters; its batch is open again until it is dealt with.
"""

import json
from typing import Any, LiteralString
from uuid import UUID

from backend.publish import publish
from healthkit.database import RawCursor, raw_connection, raw_cursor
from healthkit.dispatching import chunks_dispatch
from healthkit.importing.rejected import rejected_reimport
from healthkit.models.redrive import RedriveKind

_CHUNK_BY_INDEX: LiteralString = (
    "SELECT id, batch_id FROM healthkit_import_chunk WHERE batch_id = $1 AND chunk_index = $2"
)
_CHUNK_BY_ID: LiteralString = "SELECT id, batch_id FROM healthkit_import_chunk WHERE id = $1"
_BATCH: LiteralString = "SELECT id FROM healthkit_import_batch WHERE id = $1"
_LETTER: LiteralString = """
SELECT chunk_id, payload, redriven_at IS NOT NULL FROM healthkit_dead_letter WHERE id = $1 FOR UPDATE
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

_LETTER_DONE: LiteralString = "UPDATE healthkit_dead_letter SET redriven_at = clock_timestamp() WHERE id = $1"
_LETTER_NOT_DONE: LiteralString = "UPDATE healthkit_dead_letter SET redriven_at = NULL WHERE id = $1"
_AUDIT: LiteralString = "INSERT INTO healthkit_redrive (kind, target, actor, redriven_count) VALUES ($1, $2, $3, $4)"


class TargetNotFound(LookupError):
    """There is no such chunk, batch or dead letter."""


def redrive(*, kind: RedriveKind, target: str, actor: str) -> int:
    """Put back what `target` names, and say how much that was: chunks, plus 1 for a message.

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
    reimported = rejected_reimport(batch_id)
    with raw.transaction():
        count = _chunks_back(cursor, batch_id, None) + reimported
        _audit(cursor, RedriveKind.BATCH, target, actor, count)
    chunks_dispatch(batch_id)
    return count


def _chunk_redrive(target: str, actor: str) -> int:
    raw = raw_connection()
    cursor = raw_cursor(raw)
    batch_text, has_index, index = target.replace("/", ":").rpartition(":")
    number = _number(index)
    if has_index:
        row = cursor.execute(_CHUNK_BY_INDEX, (_uuid(batch_text), number)).fetchone()
    else:
        row = cursor.execute(_CHUNK_BY_ID, (number,)).fetchone()
    if row is None:
        raise TargetNotFound(target)
    chunk_id, batch_id = row
    with raw.transaction():
        count = _chunks_back(cursor, batch_id, chunk_id)
        _audit(cursor, RedriveKind.CHUNK, target, actor, count)
    chunks_dispatch(batch_id)
    return count


def _letter_redrive(target: str, actor: str) -> int:
    raw = raw_connection()
    cursor = raw_cursor(raw)
    letter_id = _number(target)
    batch_id: UUID | None = None
    payload: dict[str, Any] = {}
    with raw.transaction():
        row = cursor.execute(_LETTER, (letter_id,)).fetchone()
        if row is None:
            raise TargetNotFound(target)
        chunk_id, text, is_done = row
        if chunk_id is not None:
            batch_id = cursor.execute(_CHUNK_BY_ID, (chunk_id,)).fetchall()[0][1]
            count = _chunks_back(cursor, batch_id, chunk_id)
        else:
            payload = json.loads(text)
            count = int(not is_done and _is_message(payload))
        if count:
            cursor.execute(_LETTER_DONE, (letter_id,))
        _audit(cursor, RedriveKind.DEAD_LETTER, target, actor, count)
    if batch_id is not None:
        chunks_dispatch(batch_id)
    elif count and not publish(payload["task"], payload.get("args") or (), kwargs=payload.get("kwargs") or {}):
        raw_cursor(raw_connection()).execute(_LETTER_NOT_DONE, (letter_id,))
        return 0
    return count


def _chunks_back(cursor: RawCursor, batch_id: UUID, chunk_id: int | None) -> int:
    ids = [row[0] for row in cursor.execute(_CHUNKS_BACK, (batch_id, chunk_id)).fetchall()]
    if ids:
        cursor.execute(_BATCH_BACK, (batch_id, len(ids)))
        cursor.execute(_LETTERS_OF_CHUNKS, (ids,))
    return len(ids)


def _audit(cursor: RawCursor, kind: RedriveKind, target: str, actor: str, count: int) -> None:
    cursor.execute(_AUDIT, (kind.value, target, actor, count))


def _is_message(payload: dict[str, Any]) -> bool:
    """Whether a dead letter can be published again; one that could not be decoded is kept for a person."""
    return isinstance(payload.get("task"), str)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise TargetNotFound(text) from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise TargetNotFound(text)
    return int(text)
