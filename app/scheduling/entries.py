"""Schedule entries: rows of django-celery-beat, as they are edited in the admin.

Rows are read anew for every loop of beat and never written back from memory; the stock scheduler keeps them, and after
an outage of Postgres dispatches again from a stale `last_run_at` (django-celery-beat PR 1040). When an entry last ran
is in its ticks.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import schedules
from django.conf import settings
from django_celery_beat.models import PeriodicTask

from scheduling.due_times import DueTimes, due_times, next_due

logger = logging.getLogger(__name__)

_OPTIONS = ("queue", "priority")


class UnknownDestination(ValueError):
    """A queue that is not declared, or an exchange or routing key, which lead to no queue."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One enabled entry."""

    name: str
    task: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    schedule: schedules.BaseSchedule
    changed_at: datetime
    start_at: datetime | None
    end_at: datetime | None
    is_one_off: bool

    @property
    def signature(self) -> str:
        """Changes when the due times change."""
        return f"{self.schedule!r} {self.start_at} {self.end_at}"

    def due_between(self, *, after: datetime, until: datetime, limit: int) -> DueTimes:
        """Due times in (after, until], within the entry's own start and end."""
        start = after if self.start_at is None else max(after, self.start_at)
        end = until if self.end_at is None else min(until, self.end_at)
        found = due_times(self.schedule, after=start, until=end, limit=limit)
        return DueTimes(found.times[-1:], 0) if self.is_one_off else found

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time later than `moment`."""
        start = moment if self.start_at is None else max(moment, self.start_at)
        return next_due(self.schedule, after=start)


def entries_enabled() -> tuple[list[Entry], dict[str, str]]:
    """All enabled entries that can be read, and why the others cannot (by name): one bad row stops no other."""
    good: list[Entry] = []
    bad: dict[str, str] = {}
    rows = PeriodicTask.objects.filter(enabled=True).select_related("interval", "crontab", "solar", "clocked")
    for row in rows.order_by("name"):
        try:
            entry = _entry_of(row)
            entry.next_after(row.date_changed)
        except Exception as error:  # noqa: BLE001 - a row edited by hand may be broken in any way; it becomes data
            bad[row.name] = f"{type(error).__name__}: {error}"
        else:
            good.append(entry)
    return good, bad


def _entry_of(row: PeriodicTask) -> Entry:
    _require_destination(row)
    options: dict[str, Any] = {name: value for name in _OPTIONS if (value := getattr(row, name)) is not None}
    if row.expire_seconds is not None:
        options["expires"] = row.expire_seconds
    return Entry(
        name=row.name,
        task=row.task,
        args=tuple(json.loads(row.args or "[]")),
        kwargs=dict(json.loads(row.kwargs or "{}")),
        options=options,
        schedule=row.schedule,
        changed_at=row.date_changed,
        start_at=row.start_time,
        end_at=row.expires,
        is_one_off=row.one_off,
    )


def _require_destination(row: PeriodicTask) -> None:
    """Raises: `UnknownDestination`. A row that names none is routed by its task, to a declared queue."""
    declared = [queue.name for queue in settings.CELERY_TASK_QUEUES]
    if row.queue and row.queue not in declared:
        raise UnknownDestination(f"queue {row.queue!r} is none of {', '.join(declared)}")
    if row.exchange or row.routing_key:
        raise UnknownDestination("messages go to a queue by its name: leave exchange and routing key empty")
