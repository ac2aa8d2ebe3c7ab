"""When a schedule is due: pure functions on a fixed grid of time.

An interval of n seconds is due at every multiple of n since 1970-01-01T00:00:00Z, whoever asks and whenever beat was
started, so two beats, or one before and after a restart, name the same due time alike.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from celery import schedules
from django_celery_beat.clockedschedule import clocked

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOURS = 24
_HORIZON_DAYS = 366 * 8  # 29 February is at most eight years away; the 31st of February never comes


class UnknownSchedule(ValueError):
    """A kind of schedule that this beat does not run (solar)."""


@dataclass(frozen=True, slots=True)
class DueTimes:
    """Due times in (after, until], ascending; of more than `limit` only the last `limit`, `dropped` counts the rest."""

    times: tuple[datetime, ...]
    dropped: int

    @property
    def latest(self) -> datetime | None:
        """The one that is run."""
        return self.times[-1] if self.times else None

    @property
    def earlier(self) -> tuple[datetime, ...]:
        """Those that are only recorded."""
        return self.times[:-1]


def due_times(schedule: schedules.BaseSchedule, *, after: datetime, until: datetime, limit: int) -> DueTimes:
    """All due times of `schedule` in (after, until]."""
    if type(schedule) is schedules.schedule:
        return _on_grid(schedule.run_every, after=after, until=until, limit=limit)
    kept: deque[datetime] = deque(maxlen=limit)
    total = 0
    for due in _by_calendar(schedule, after=after):
        if due > until:
            break
        kept.append(due)
        total += 1
    return DueTimes(tuple(kept), total - len(kept))


def next_due(schedule: schedules.BaseSchedule, *, after: datetime) -> datetime | None:
    """The first due time later than `after`; None when there will be none."""
    if type(schedule) is schedules.schedule:
        interval: timedelta = schedule.run_every
        return _EPOCH + (_index(interval, after) + 1) * interval
    return next(_by_calendar(schedule, after=after), None)


def _index(interval: timedelta, moment: datetime) -> int:
    return (moment - _EPOCH) // interval


def _on_grid(interval: timedelta, *, after: datetime, until: datetime, limit: int) -> DueTimes:
    if interval <= timedelta(0):
        return DueTimes((), 0)
    first, last = _index(interval, after) + 1, _index(interval, until)
    count = max(0, last - first + 1)
    start = max(first, last - limit + 1)
    return DueTimes(tuple(_EPOCH + index * interval for index in range(start, last + 1)), max(0, count - limit))


def _by_calendar(schedule: schedules.BaseSchedule, *, after: datetime) -> Iterator[datetime]:
    """Due times after `after`, ascending (one at most for a clocked schedule)."""
    match schedule:
        case clocked():
            times = iter((schedule.clocked_time.astimezone(UTC),))
        case schedules.crontab():
            times = _crontab_times(schedule, since=after)
        case _:
            raise UnknownSchedule(f"{type(schedule).__name__} is neither an interval, nor a crontab, nor a clock time")
    return (due for due in times if due > after)


def _crontab_times(crontab: schedules.crontab, *, since: datetime) -> Iterator[datetime]:
    """Due times from the local day of `since` on, for at most `_HORIZON_DAYS`.

    Celery's own arithmetic cannot be asked about another moment than now. At a clock change: a local time that does
    not exist is due when it would have been, and one that comes twice is due once, or both times when every hour is.
    """
    zone = getattr(crontab, "tz", None) or UTC
    folds = (0, 1) if len(crontab.hour) == _HOURS else (0,)
    first = since.astimezone(zone).date()
    for offset in range(_HORIZON_DAYS):
        day = first + timedelta(days=offset)
        if (
            day.month not in crontab.month_of_year
            or day.day not in crontab.day_of_month
            or day.isoweekday() % 7 not in crontab.day_of_week
        ):
            continue
        yield from sorted(
            {
                datetime.combine(day, time(hour, minute, fold=fold), tzinfo=zone).astimezone(UTC)
                for hour in crontab.hour
                for minute in crontab.minute
                for fold in folds
            }
        )
