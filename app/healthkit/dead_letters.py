"""What will never run again by itself: a row with payload and reason, so that it can be put back."""

import logging
from typing import Any, LiteralString
from uuid import UUID

from backend.logs import log_event
from healthkit.database import RawCursor, fetch_one
from healthkit.dispatching import CHUNK_TASK
from healthkit.jsonb import jsonb_text

_LOGGER = logging.getLogger(__name__)

_INSERT: LiteralString = """
INSERT INTO healthkit_dead_letter (task_name, message_id, payload, reason, batch_id, chunk_id)
VALUES ($1, $2, $3::jsonb, $4, (SELECT id FROM healthkit_import_batch WHERE id = $5), $6)
ON CONFLICT (task_name, message_id) WHERE redriven_at IS NULL DO NOTHING
RETURNING id
"""


def dead_letter_record(
    *, task_name: str, message_id: str, payload: dict[str, Any], reason: str, batch_id: UUID | str | None = None
) -> bool:
    """Keep a message that cannot run, in a transaction of its own; False if it was kept before.

    `payload` is what a re-drive publishes: {"task", "args", "kwargs", "queue"}, or the raw text of what could not be
    decoded. A `batch_id` that names no batch is dropped. Raises: `INFRASTRUCTURE_ERRORS`.
    """
    row = fetch_one(
        _INSERT, _clean(task_name), _clean(message_id), jsonb_text(payload), _clean(reason), _uuid(batch_id), None
    )
    if row is None:
        return False
    batch = None if batch_id is None else str(batch_id)
    dead_letter_report(row[0], task_name=task_name, message_id=message_id, reason=reason, batch=batch)
    return True


def dead_letter_add(
    cursor: RawCursor, *, task_name: str, message_id: str, payload: dict[str, Any], reason: str
) -> int | None:
    """Keep a message in the transaction that found that it cannot run; the letter's id, None if it was kept before.

    To be reported once that is committed.
    """
    row = cursor.execute(_INSERT, (task_name, message_id, jsonb_text(payload), reason, None, None)).fetchone()
    return None if row is None else int(row[0])


def dead_letter_report(letter_id: int, *, task_name: str, message_id: str, reason: str, **ids: Any) -> None:
    """Say that there is a new dead letter, in the log."""
    log_event(
        _LOGGER,
        "dead_lettered",
        f"{task_name} cannot run here: {reason}",
        level=logging.ERROR,
        task_id=message_id,
        error=reason,
        dead_letter=letter_id,
        **ids,
    )


def chunk_dead_letter(cursor: RawCursor, *, batch_id: UUID, chunk_id: int, chunk_index: int, reason: str) -> None:
    """Keep a chunk that FAILED for good, in the transaction that failed it."""
    payload = {"task": CHUNK_TASK, "args": [str(batch_id), chunk_index]}
    cursor.execute(_INSERT, (CHUNK_TASK, f"chunk:{chunk_id}", jsonb_text(payload), reason, batch_id, chunk_id))


def _uuid(value: UUID | str | None) -> UUID | None:
    """A header can hold anything."""
    try:
        return None if value is None else UUID(str(value))
    except ValueError:
        return None


def _clean(text: str) -> str:
    """Text that Postgres takes: neither NUL nor lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
