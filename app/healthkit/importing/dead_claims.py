"""Taking over claims whose holder is gone.

A holder that lives holds its claim's advisory lock from the first statement of its transaction. So a claim that is
older than one sweep and whose lock is free has no holder; and one that has expired is taken in any case: its holder is
frozen or cut off, and the guard of its last statement will refuse its commit.

Each is freed in a transaction of its own: two who free chunks of the same batches hold one batch's row at a time, and
so never wait for each other in a circle.
"""

import logging
from typing import LiteralString
from uuid import UUID

import psycopg

from backend.env import config
from backend.logs import log_event
from healthkit.database import TOO_MUCH_ERRORS, raw_connection, raw_cursor
from healthkit.finalising import batch_report
from healthkit.importing.attempts import Ended, Ending, claim_end, ended_report, error_text

_LOGGER = logging.getLogger(__name__)
MAX_PER_CALL = 200
# What Postgres has against this very chunk; the sweep goes on with the others.
_ITS_OWN_FAULT = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    *TOO_MUCH_ERRORS,
)

# CASE fixes the order: trying the lock of a claim that is only just made would disturb its holder.
_DEAD: LiteralString = """
SELECT id, claim_token, claimed_by, claim_expires_at <= clock_timestamp()
FROM healthkit_import_chunk
WHERE claim_token IS NOT NULL AND id > $3 AND ($2::uuid IS NULL OR batch_id = $2)
  AND CASE
      WHEN claim_expires_at <= clock_timestamp() THEN true
      WHEN claimed_at <= clock_timestamp() - $1 * interval '1 second'
          THEN pg_try_advisory_xact_lock(hashtextextended(claim_token::text, 0))
      ELSE false END
ORDER BY id LIMIT 1
FOR UPDATE SKIP LOCKED
"""


def dead_claims_reap(*, batch_id: UUID | None = None) -> list[Ended]:
    """Free the claims of lost holders (of one batch, or of all), each counted as an interruption; what was freed.

    Raises: `INFRASTRUCTURE_ERRORS`.
    """
    reaped: list[Ended] = []
    looked_at = 0
    while len(reaped) < MAX_PER_CALL and (found := _next_reap(batch_id, after=looked_at)) is not None:
        looked_at, ended = found
        if ended is not None:
            reaped.append(ended)
    return reaped


def _next_reap(batch_id: UUID | None, *, after: int) -> tuple[int, Ended | None] | None:
    """The next chunk whose holder is lost, by ascending id; without an end when it could not be freed."""
    raw = raw_connection()
    cursor = raw_cursor(raw)
    chunk_id, error = after, ""
    try:
        with raw.transaction():
            row = cursor.execute(_DEAD, (config().sweep_interval_s, batch_id, after)).fetchone()
            if row is None:
                return None
            chunk_id, token, holder, has_expired = row
            why = "its claim expired" if has_expired else "its lock is free"
            error = f"holder {holder} lost: {why}"
            ended = claim_end(cursor, chunk_id=chunk_id, token=token, ending=Ending.INTERRUPTION, error=error)
    except _ITS_OWN_FAULT as refused:
        if chunk_id == after:
            raise  # the look itself: it would fail again, and again
        message = f"{error}; and it cannot be freed: {error_text(refused)}"
        log_event(_LOGGER, "claim_not_freed", message, level=logging.ERROR, chunk_id=chunk_id)
        return chunk_id, None
    if ended is not None:
        _report(ended, error)
    return chunk_id, ended


def _report(ended: Ended, error: str) -> None:
    log_event(
        _LOGGER,
        "claim_taken_over",
        error,
        level=logging.WARNING,
        batch=str(ended.batch_id),
        chunk=ended.chunk_index,
        chunk_id=ended.chunk_id,
    )
    if ended.has_failed:
        ended_report(ended, ending=Ending.INTERRUPTION, error=error)
    if ended.batch_ended_as is not None:
        batch_report(batch_id=ended.batch_id, status=ended.batch_ended_as)
