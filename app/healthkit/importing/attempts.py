"""How a run that did not commit ends: which of the three counters it moves, and when the chunk may run again.

- data: the data (or our code) raised. 1 run and CHUNK_RETRY_DELAYS_S, then FAILED for good.
- interruption: the holder was lost, or ran into a time limit. MAX_INTERRUPTIONS, the first without a wait, then a
  backoff that doubles; then FAILED, which is how a chunk that kills its worker ends.
- infrastructure: database or broker away, a lock not to be had, told to stop. Capped backoff, never FAILED.

A wait is a row (`next_attempt_at`), found by the sweeper; a countdown in Redis would not survive Redis.
"""

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString
from uuid import UUID

import psycopg

from backend.env import config
from backend.logs import log_event
from healthkit.anchors import anchor_advance
from healthkit.database import RawCursor
from healthkit.dead_letters import chunk_dead_letter
from healthkit.finalising import BATCH_COUNTED

_LOGGER = logging.getLogger(__name__)
ERROR_MAX_CHARS = 300


class Ending(StrEnum):
    """Why a run ended without a commit."""

    DATA = "data"
    INTERRUPTION = "interruption"
    INFRASTRUCTURE = "infrastructure"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of the chunk; `batch_ended_as` is set when this was the last one of its batch."""

    chunk_id: int
    batch_id: UUID
    chunk_index: int
    has_failed: bool
    delay_s: float
    batch_ended_as: str | None


# A null delay is the end. A holder that was lost together with Postgres is Postgres' fault, not the chunk's.
_END: LiteralString = """
UPDATE healthkit_import_chunk c
SET claim_token = NULL, claim_slot = NULL, claim_expires_at = NULL, last_error = $4,
    next_dispatch_at = NULL, dispatch_count = 0,
    data_attempts = c.data_attempts + (o.ending = 'data')::int,
    interruptions = c.interruptions + (o.ending = 'interruption')::int,
    infra_attempts = c.infra_attempts + (o.ending IN ('infrastructure', 'stop'))::int,
    status = CASE WHEN o.delay_s IS NULL THEN 'FAILED' ELSE 'PENDING' END,
    finished_at = CASE WHEN o.delay_s IS NULL THEN clock_timestamp() END,
    next_attempt_at = clock_timestamp() + o.delay_s * interval '1 second'
FROM (
    SELECT e.*, CASE e.ending
        WHEN 'data' THEN ($5::float8[])[e.data_attempts + 1]
        WHEN 'stop' THEN 0
        WHEN 'infrastructure' THEN least($6 * power(2, least(e.infra_attempts, 20)), $7)
        ELSE CASE WHEN e.interruptions + 1 >= $8::int THEN NULL
                  WHEN e.interruptions = 0 THEN 0
                  ELSE least($6 * power(2, least(e.interruptions - 1, 20)), $7) END
        END::float8 AS delay_s
    FROM (SELECT id, data_attempts, interruptions, infra_attempts,
                 CASE WHEN $3 = 'interruption' AND pg_postmaster_start_time() > claimed_at THEN 'infrastructure'
                      ELSE $3 END AS ending
          FROM healthkit_import_chunk WHERE id = $1 AND claim_token = $2 FOR UPDATE) e
) o
WHERE c.id = o.id AND c.claim_token = $2 AND c.status = 'PENDING'
RETURNING c.batch_id, c.chunk_index, o.delay_s, o.ending
"""

_COUNT_FAILED: LiteralString = (
    """
UPDATE healthkit_import_batch b SET
"""
    + BATCH_COUNTED
    + """
FROM (SELECT 0 AS done, 1 AS failed) counted
WHERE b.id = $1
RETURNING b.status, b.finished_at IS NOT NULL
"""
)


def claim_end(cursor: RawCursor, *, chunk_id: int, token: UUID, ending: Ending, error: str) -> Ended | None:
    """End a claim without a commit of its work; None when it was not ours any more (then nothing changes).

    Runs in the caller's transaction: a chunk that FAILED is counted in its batch, and is a dead letter, with it.
    """
    settings = config()
    parameters = (
        chunk_id,
        token,
        ending.value,
        error[:ERROR_MAX_CHARS],
        list(settings.chunk_retry_delays_s),
        settings.sweep_interval_s,
        settings.claim_timeout_s,
        settings.max_interruptions,
    )
    row = cursor.execute(_END, parameters).fetchone()
    if row is None:
        return None
    batch_id, chunk_index, delay_s, _ = row
    if delay_s is not None:
        return Ended(chunk_id, batch_id, chunk_index, False, delay_s, None)
    counted = cursor.execute(_COUNT_FAILED, (batch_id,)).fetchone()
    assert counted is not None  # the chunk's foreign key
    chunk_dead_letter(cursor, batch_id=batch_id, chunk_id=chunk_id, chunk_index=chunk_index, reason=error)
    status, has_ended = counted
    if has_ended:
        anchor_advance(cursor, batch_id=batch_id)
    return Ended(chunk_id, batch_id, chunk_index, True, 0.0, status if has_ended else None)


def ended_report(ended: Ended, *, ending: Ending, error: str) -> None:
    """Say what became of the chunk; after the commit."""
    event, message, level = "chunk_released", f"chunk released ({ending.value})", logging.WARNING
    if ended.has_failed:
        event, message, level = "chunk_failed", f"chunk FAILED for good ({ending.value})", logging.ERROR
    elif ending is Ending.DATA:
        event, message = "chunk_retried", f"chunk runs again in {ended.delay_s:g} s"
    log_event(
        _LOGGER,
        event,
        message,
        level=level,
        batch=str(ended.batch_id),
        chunk=ended.chunk_index,
        chunk_id=ended.chunk_id,
        error=error,
        delay_s=ended.delay_s,
    )
    if ended.has_failed:
        log_event(
            _LOGGER,
            "dead_lettered",
            "a chunk will not run again by itself",
            level=logging.ERROR,
            batch=str(ended.batch_id),
            chunk=ended.chunk_index,
            chunk_id=ended.chunk_id,
            error=error,
        )


def error_text(error: BaseException) -> str:
    """Class, code and primary message; never a server's DETAIL, which quotes rows and so health values."""
    name = type(error).__name__
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return f"{name} [{error.sqlstate}]: {error.diag.message_primary}"[:ERROR_MAX_CHARS]
    return f"{name}: {error}"[:ERROR_MAX_CHARS]
