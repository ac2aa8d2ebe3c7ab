"""Ticks: claimed before they are published, done when their task has ended, missed when neither came to pass.

Every statement is one transaction. Those that decide what may run check the lease themselves, so that a beat that was
frozen in between decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

_LEASE = "SELECT 1 FROM scheduling_beat_lease WHERE id = 1 AND token = %(token)s AND expires_at > clock_timestamp()"
_CLAIM = f"""
WITH lease AS ({_LEASE}), inserted AS (
    INSERT INTO scheduling_tick (entry, due_at, status, holder, created_at)
    SELECT %(entry)s, due.at, due.status, %(holder)s, clock_timestamp()
    FROM lease CROSS JOIN unnest(%(dues)s::timestamptz[], %(statuses)s::text[]) AS due (at, status)
    ON CONFLICT (entry, due_at) DO NOTHING
    RETURNING due_at
)
SELECT EXISTS (SELECT 1 FROM lease), ARRAY(SELECT due_at FROM inserted ORDER BY due_at)
"""
_LAST = """
SELECT entry, last.due_at FROM unnest(%(entries)s::text[]) AS entry
CROSS JOIN LATERAL (
    SELECT due_at FROM scheduling_tick AS tick WHERE tick.entry = entry.entry ORDER BY due_at DESC LIMIT 1) AS last
"""
_SUPERSEDE = f"""
UPDATE scheduling_tick AS tick SET status = 'missed'
WHERE tick.status = 'claimed' AND EXISTS ({_LEASE})
  AND (NOT tick.entry = ANY (%(entries)s)
    OR EXISTS (SELECT 1 FROM scheduling_tick AS later WHERE later.entry = tick.entry AND later.due_at > tick.due_at))
RETURNING entry, due_at
"""
_LOST = f"""
UPDATE scheduling_tick AS tick SET status = 'missed'
WHERE tick.status = 'published' AND EXISTS ({_LEASE})
  AND tick.published_at < clock_timestamp() - make_interval(secs => %(overdue_s)s)
  AND EXISTS (
    SELECT 1 FROM scheduling_tick AS later WHERE later.entry = tick.entry AND later.due_at > tick.due_at
    AND (later.status = 'done' OR tick.published_at < clock_timestamp() - make_interval(secs => %(visibility_s)s)))
RETURNING entry, due_at
"""
_REOPEN = f"""
UPDATE scheduling_tick AS tick SET status = 'claimed'
WHERE tick.status = 'published' AND EXISTS ({_LEASE})
  AND tick.published_at < clock_timestamp() - make_interval(secs => %(visibility_s)s)
"""
_OPEN = "SELECT entry, due_at FROM scheduling_tick WHERE status = 'claimed' ORDER BY due_at, entry"
_PUBLISHED = """
WITH published AS (
    UPDATE scheduling_tick SET status = 'published', holder = %(holder)s, published_at = clock_timestamp()
    WHERE entry = %(entry)s AND due_at = %(due_at)s AND status IN ('claimed', 'missed')
)
UPDATE django_celery_beat_periodictask
SET last_run_at = clock_timestamp(), total_run_count = total_run_count + 1
WHERE name = %(entry)s
"""
# An entry that runs once ends with its tick, unless it was edited since: then it is to run once more.
_DONE = """
WITH done AS (
    UPDATE scheduling_tick SET status = 'done', done_at = clock_timestamp()
    WHERE entry = %(entry)s AND due_at = %(due_at)s AND status <> 'done'
)
UPDATE django_celery_beat_periodictask SET enabled = false
WHERE name = %(entry)s AND one_off AND enabled AND date_changed < %(due_at)s
"""
_IS_DONE = "SELECT 1 FROM scheduling_tick WHERE entry = %(entry)s AND due_at = %(due_at)s AND status = 'done'"
_FORGET = """
DELETE FROM scheduling_tick WHERE id IN (
    SELECT tick.id FROM scheduling_tick AS tick
    WHERE tick.created_at < statement_timestamp() - make_interval(secs => %(age_s)s) AND tick.status <> 'claimed'
      AND EXISTS (SELECT 1 FROM scheduling_tick AS later WHERE later.entry = tick.entry AND later.due_at > tick.due_at)
    ORDER BY tick.created_at LIMIT %(limit)s)
"""


@dataclass(frozen=True, slots=True)
class TickId:
    """A due time of an entry; as text `entry|due time`, which is what messages carry."""

    entry: str
    due_at: datetime

    def __str__(self) -> str:
        return f"{self.entry}|{self.due_at.isoformat()}"

    @classmethod
    def parse(cls, text: str) -> "TickId":
        """The inverse of `str`. Raises: `ValueError` when it is not one."""
        entry, bar, due_at = text.rpartition("|")
        if not bar:
            raise ValueError(f"a tick is 'entry|due time', not {text!r}")
        return cls(entry, datetime.fromisoformat(due_at))


def ticks_claim(
    entry: str, *, run: datetime, missed: Sequence[datetime], token: UUID, holder: str
) -> tuple[bool, list[TickId]]:
    """Insert the tick to run and those already missed, if the lease is ours.

    Returns whether it is, and which of the ticks are new: a due time that another beat has inserted is not.
    """
    dues = [*missed, run]
    statuses = [*("missed" for _ in missed), "claimed"]
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"entry": entry, "dues": dues, "statuses": statuses, "token": token, "holder": holder})
        is_held, new = cursor.fetchone()
    return is_held, [TickId(entry, due_at) for due_at in new]


def ticks_last(entries: Sequence[str]) -> dict[str, datetime]:
    """The latest due time that each entry has a tick for."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST, {"entries": list(entries)})
        return dict(cursor.fetchall())


def ticks_open() -> list[TickId]:
    """Ticks that are claimed and not surely published, oldest first."""
    return _ids(_OPEN, {})


def ticks_supersede(entries: Sequence[str], *, token: UUID) -> list[TickId]:
    """Give up unpublished ticks that a later one has overtaken, or whose entry is no longer enabled; returns them."""
    return _ids(_SUPERSEDE, {"entries": list(entries), "token": token})


def ticks_lose(*, token: UUID, overdue_s: float, visibility_s: float) -> list[TickId]:
    """Give up ticks published longer than `overdue_s` ago that a later tick has overtaken; returns them.

    Overtaken: a later one is done, or merely exists when the broker would have delivered this one again by now.
    """
    return _ids(_LOST, {"token": token, "overdue_s": overdue_s, "visibility_s": visibility_s})


def ticks_reopen(*, token: UUID, visibility_s: float) -> int:
    """Put published ticks that never got done back to claimed, after `visibility_s`; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_REOPEN, {"token": token, "visibility_s": visibility_s})
        return int(cursor.rowcount)


def tick_published(tick: TickId, *, holder: str) -> None:
    """The broker has confirmed the message. A tick that its task was quicker to end stays done.

    Shows the run in the admin, too (an update, which marks nothing as edited).
    """
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISHED, {"entry": tick.entry, "due_at": tick.due_at, "holder": holder})


def tick_done(tick: TickId) -> None:
    """The task of this tick has ended well, and with it an entry that runs once."""
    with connection.cursor() as cursor:
        cursor.execute(_DONE, {"entry": tick.entry, "due_at": tick.due_at})


def tick_is_done(tick: TickId) -> bool:
    """Whether another delivery of this tick has already ended well."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_DONE, {"entry": tick.entry, "due_at": tick.due_at})
        return cursor.fetchone() is not None


def ticks_forget(*, age_s: float, limit: int) -> int:
    """Delete at most `limit` ticks older than `age_s`, never the latest of an entry; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"age_s": age_s, "limit": limit})
        return int(cursor.rowcount)


def _ids(sql: str, parameters: Mapping[str, str | float | UUID | list[str]]) -> list[TickId]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [TickId(entry, due_at) for entry, due_at in cursor.fetchall()]
