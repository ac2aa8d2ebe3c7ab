"""What Postgres knows about work that does not move. Each look is one statement with a limit; the clock is its."""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from backend.env import config
from backend.health.problem import MAX_LISTED, Problem, ProblemCode
from scheduling.entries import entries_enabled

# A batch whose upload goes on is the phone's affair. A wait for a retry after a data error is none of the batch's, nor
# is that retry while it runs; retries because a store is away are pushed ahead for ever, so those do not count.
_OVERDUE_BATCHES = """
SELECT b.id, b.status, extract(epoch FROM clock_timestamp() - b.moved_at)
FROM healthkit_import_batch b
WHERE b.finished_at IS NULL AND b.status <> 'PENDING' AND b.moved_at < clock_timestamp() - %(overdue)s * interval '1 s'
  AND NOT EXISTS (
    SELECT 1 FROM healthkit_import_chunk c WHERE c.batch_id = b.id AND c.status = 'PENDING'
      AND c.infra_attempts = 0
      AND greatest(c.next_attempt_at, CASE WHEN c.claim_token IS NOT NULL THEN c.claimed_at END)
          > clock_timestamp() - %(overdue)s * interval '1 s')
ORDER BY b.moved_at LIMIT %(limit)s
"""
# Missed ticks are news for a while, not for ever: the row, the log line and the metric stay.
_TICKS = """
SELECT entry, count(*), min(due_at) FROM scheduling_tick
WHERE (status = 'missed' AND due_at > statement_timestamp() - %(news)s * interval '1 s')
   OR (status = 'claimed' AND due_at < statement_timestamp() - %(overdue)s * interval '1 s')
GROUP BY entry ORDER BY entry LIMIT %(limit)s
"""
_DEAD_LETTERS = """
SELECT reason, count(*) FROM healthkit_dead_letter WHERE redriven_at IS NULL
GROUP BY reason ORDER BY reason LIMIT %(limit)s
"""
_BEAT = """
SELECT holder, extract(epoch FROM clock_timestamp() - expires_at) FROM scheduling_beat_lease WHERE id = 1
"""
# One that was ordered for a time in the past is not late from the start: nobody could have sent it before.
_REMINDERS = """
SELECT (SELECT count(*) FROM (
           SELECT 1 FROM reminders_delivery d JOIN reminders_reminder r ON r.id = d.reminder_id
           WHERE d.status = 'pending'
             AND greatest(d.due_at, r.created_at) < clock_timestamp() - %(overdue)s * interval '1 s'
           LIMIT 1000) AS unsent)
     + (SELECT count(*) FROM (
           SELECT 1 FROM reminders_reminder r
           WHERE NOT r.has_delivery AND r.due_at < statement_timestamp() - %(overdue)s * interval '1 s'
             AND r.created_at < statement_timestamp() - %(overdue)s * interval '1 s'
             AND NOT EXISTS (SELECT 1 FROM reminders_delivery d WHERE d.reminder_id = r.id AND d.due_at = r.due_at)
           LIMIT 1000) AS unseen)
"""
MISSED_IS_NEWS_FACTOR = 2.0  # of OVERDUE_S


def row_problems() -> list[Problem]:
    """All problems that rows show. Raises: database errors."""
    overdue_s = config().overdue_s
    return [*_batches(overdue_s), *_ticks(overdue_s), *_schedule(), *_dead_letters(), *_beat(), *_reminders(overdue_s)]


def _batches(overdue_s: float) -> Iterator[Problem]:
    for batch, status, still_s in _rows(_OVERDUE_BATCHES, overdue=overdue_s):
        detail = f"{status} and has not moved for {float(still_s):.1f} s (overdue after {overdue_s:g} s)"
        yield Problem(code=ProblemCode.IMPORT_OVERDUE, detail=detail, batch=str(batch))


def _ticks(overdue_s: float) -> Iterator[Problem]:
    for entry, ticks, first in _rows(_TICKS, overdue=overdue_s, news=overdue_s * MISSED_IS_NEWS_FACTOR):
        detail = f"{entry}: {ticks} given up, or not published in time; first {first.isoformat()}"
        yield Problem(code=ProblemCode.TICKS_MISSED, detail=detail)


def _schedule() -> Iterator[Problem]:
    """Entries that beat cannot run have no ticks, and so none that could be missed."""
    _, unreadable = entries_enabled()
    for entry, why in list(unreadable.items())[:MAX_LISTED]:
        yield Problem(code=ProblemCode.SCHEDULE_UNREADABLE, detail=f"entry {entry} does not run: {why}")


def _dead_letters() -> Iterator[Problem]:
    for reason, letters in _rows(_DEAD_LETTERS):
        yield Problem(code=ProblemCode.DEAD_LETTERS, detail=f"{letters} to re-drive: {reason[:200]}")


def _beat() -> Iterator[Problem]:
    found = _rows(_BEAT)
    if not found:
        yield Problem(code=ProblemCode.BEAT_ABSENT, detail="no beat has ever led")
        return
    [(holder, expired_s)] = found
    if float(expired_s) > config().beat_lease_s:
        detail = f"nobody leads: the lease of {holder} ended {float(expired_s):.1f} s ago"
        yield Problem(code=ProblemCode.BEAT_ABSENT, detail=detail)


def _reminders(overdue_s: float) -> Iterator[Problem]:
    [(overdue,)] = _rows(_REMINDERS, overdue=overdue_s)
    if overdue:
        detail = f"{overdue} due more than {overdue_s:g} s ago and not sent"
        yield Problem(code=ProblemCode.REMINDERS_OVERDUE, detail=detail)


def _rows(sql: str, **values: float) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"limit": MAX_LISTED, **values})
        return list(cursor.fetchall())
