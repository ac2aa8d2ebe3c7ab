"""Retention: processed records and raw chunks of ended batches go after their time; fingerprints and aggregates stay.

A day that records are taken from is closed first, in the same transaction: its aggregate can no longer be recomputed,
so a late sample for it is rejected (`day_closed`). Each transaction holds one user's row, as an import does, and
deletes at most CLEANUP_BATCH_SIZE records. The raw samples of FAILED chunks are never touched: they can be re-driven.

Each transaction begins by trying a lock, and a run that does not get it ends there: so a long run whose message was
delivered again goes on, or the other one does, but never both at once. No session state, and nothing that outlives its
holder.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import LiteralString

from backend.env import config
from backend.logs import log_event
from healthkit.database import RawCursor, fetch_all, raw_connection, raw_cursor

_LOGGER = logging.getLogger(__name__)
MAX_TRANSACTIONS = 10_000  # per run; the rest waits for the next one

_TURN: LiteralString = "SELECT pg_try_advisory_xact_lock(hashtextextended('clean-up', 0))"

# One user with records past their time whose batch has ended.
_NEXT_USER: LiteralString = """
SELECT r.user_id FROM healthkit_data_record r
JOIN healthkit_import_chunk c ON c.id = r.chunk_id
JOIN healthkit_import_batch b ON b.id = c.batch_id AND b.finished_at IS NOT NULL
WHERE r.created_at < statement_timestamp() - $1 * interval '1 day'
LIMIT 1
"""

_USER_LOCK: LiteralString = "SELECT time_zone FROM accounts_user WHERE id = $1 FOR NO KEY UPDATE"

_CLEAN: LiteralString = """
WITH old AS (
    SELECT r.id, r.type_id, (CASE WHEN t.kind = 'sleep' THEN r.end_at ELSE r.start_at END AT TIME ZONE $3)::date AS day
    FROM healthkit_data_record r
    JOIN healthkit_sample_type t ON t.id = r.type_id
    JOIN healthkit_import_chunk c ON c.id = r.chunk_id
    JOIN healthkit_import_batch b ON b.id = c.batch_id AND b.finished_at IS NOT NULL
    WHERE r.user_id = $1 AND r.created_at < statement_timestamp() - $2 * interval '1 day'
    LIMIT $4
), closed AS (
    UPDATE healthkit_daily_aggregate a SET closed = true
    FROM (SELECT DISTINCT type_id, day FROM old) d
    WHERE a.user_id = $1 AND a.type_id = d.type_id AND a.day = d.day AND NOT a.closed
    RETURNING a.id
), gone AS (
    DELETE FROM healthkit_data_record r USING old WHERE r.id = old.id RETURNING r.id
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM closed)
"""

_RAW_CHUNKS: LiteralString = """
UPDATE healthkit_import_chunk c SET samples = ''
FROM (SELECT c.id FROM healthkit_import_chunk c
      JOIN healthkit_import_batch b ON b.id = c.batch_id AND b.finished_at IS NOT NULL
      WHERE c.status = 'DONE' AND c.samples <> '' AND c.finished_at < statement_timestamp() - $1 * interval '1 day'
      LIMIT $2 FOR UPDATE OF c SKIP LOCKED) old
WHERE c.id = old.id
RETURNING c.id
"""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What one run removed and closed, and whether nothing that is past its time was left."""

    records: int
    days_closed: int
    raw_chunks: int
    is_complete: bool = True


class AnotherRuns(Exception):
    """Another clean-up is in the middle of a transaction."""


def records_clean_up() -> CleanUp:
    """Remove what is past RETENTION_DAYS, in short transactions; nothing unless CLEANUP_ENABLED.

    Idempotent; beside another run one of the two ends before its work is complete.
    Raises: `INFRASTRUCTURE_ERRORS`; what was committed before stays removed.
    """
    if not config().cleanup_enabled:
        return CleanUp(0, 0, 0)
    removed: Counter[str] = Counter()
    is_complete = True
    try:
        for number, step in enumerate(_steps(), start=1):
            removed.update(step)
            if number == MAX_TRANSACTIONS:
                is_complete = False
                break
    except AnotherRuns:
        is_complete = False
    done = CleanUp(removed["records"], removed["days_closed"], removed["raw_chunks"], is_complete)
    log_event(
        _LOGGER,
        "cleaned_up",
        f"removed {done.records} records and {done.raw_chunks} raw chunks, closed {done.days_closed} days"
        + ("" if is_complete else "; another run has to do the rest"),
    )
    return done


def _steps() -> Iterator[dict[str, int]]:
    """Transactions until nothing is left, and what each removed."""
    settings = config()
    while found := fetch_all(_NEXT_USER, settings.retention_days):
        yield _user_clean(found[0][0], settings.retention_days, settings.cleanup_batch_size)
    emptied = settings.cleanup_batch_size
    while emptied == settings.cleanup_batch_size:
        with _turn() as cursor:
            chunks = cursor.execute(_RAW_CHUNKS, (settings.retention_days, settings.cleanup_batch_size))
            emptied = len(chunks.fetchall())
        yield {"raw_chunks": emptied}


def _user_clean(user_id: int, retention_days: int, batch_size: int) -> dict[str, int]:
    with _turn() as cursor:
        row = cursor.execute(_USER_LOCK, (user_id,)).fetchone()
        if row is None:
            return {}
        counts = cursor.execute(_CLEAN, (user_id, retention_days, row[0], batch_size)).fetchone()
        assert counts is not None  # a SELECT of scalars has one row
        return {"records": counts[0], "days_closed": counts[1]}


@contextmanager
def _turn() -> Iterator[RawCursor]:
    """A transaction that no other clean-up runs beside. Raises: `AnotherRuns`."""
    raw = raw_connection()
    with raw.transaction():
        cursor = raw_cursor(raw)
        if cursor.execute(_TURN).fetchone() != (True,):
            raise AnotherRuns
        yield cursor
