"""The grid of due times: the same for whoever asks, and complete."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery import schedules
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.tzcrontab import TzAwareCrontab
from hypothesis import given
from hypothesis import strategies as st

from scheduling.due_times import DueTimes, UnknownSchedule, due_times, next_due

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def every(seconds: float) -> schedules.schedule:
    return schedules.schedule(timedelta(seconds=seconds))


CASES = {
    "interval: multiples since the epoch": (
        every(15),
        "2026-10-01T12:00:01",
        "2026-10-01T12:00:45",
        ["2026-10-01T12:00:15", "2026-10-01T12:00:30", "2026-10-01T12:00:45"],
    ),
    "interval: half open": (every(15), "2026-10-01T12:00:15", "2026-10-01T12:00:29", []),
    "interval: fractions of a second": (
        every(0.5),
        "2026-10-01T12:00:00",
        "2026-10-01T12:00:01",
        ["2026-10-01T12:00:00.500000", "2026-10-01T12:00:01"],
    ),
    "crontab: each ten minutes": (
        TzAwareCrontab(minute="*/10", tz=UTC),
        "2026-10-01T12:00:00",
        "2026-10-01T12:25:00",
        ["2026-10-01T12:10:00", "2026-10-01T12:20:00"],
    ),
    "crontab: across days, in its own zone": (
        TzAwareCrontab(minute="30", hour="7", tz=BERLIN),
        "2026-07-01T05:30:00",
        "2026-07-03T05:30:00",
        ["2026-07-02T05:30:00", "2026-07-03T05:30:00"],
    ),
    "crontab: a time that does not exist is due when it would have been": (
        TzAwareCrontab(minute="30", hour="2", tz=BERLIN),
        "2026-03-28T12:00:00",
        "2026-03-30T12:00:00",
        ["2026-03-29T01:30:00", "2026-03-30T00:30:00"],
    ),
    "crontab: a time that comes twice is due once": (
        TzAwareCrontab(minute="30", hour="2", tz=BERLIN),
        "2026-10-24T12:00:00",
        "2026-10-25T12:00:00",
        ["2026-10-25T00:30:00"],
    ),
    "crontab: every hour is due in both of them": (
        TzAwareCrontab(minute="30", tz=BERLIN),
        "2026-10-25T00:00:00",
        "2026-10-25T02:00:00",
        ["2026-10-25T00:30:00", "2026-10-25T01:30:00"],
    ),
    "crontab: the 31st of February never comes": (
        TzAwareCrontab(minute="0", hour="0", day_of_month="31", month_of_year="2", tz=UTC),
        "2026-01-01T00:00:00",
        "2036-01-01T00:00:00",
        [],
    ),
    "clocked: once": (
        clocked(at("2026-10-01T12:00:00")),
        "2026-10-01T11:00:00",
        "2026-10-01T13:00:00",
        ["2026-10-01T12:00:00"],
    ),
    "clocked: not again": (clocked(at("2026-10-01T12:00:00")), "2026-10-01T12:00:00", "2026-10-01T13:00:00", []),
}


@pytest.mark.parametrize(("schedule", "after", "until", "expected"), CASES.values(), ids=CASES.keys())
def test_due_times(schedule: schedules.BaseSchedule, after: str, until: str, expected: list[str]) -> None:
    found = due_times(schedule, after=at(after), until=at(until), limit=100)
    assert found == DueTimes(tuple(at(text) for text in expected), 0)
    first = next_due(schedule, after=at(after))
    if expected:
        assert first == at(expected[0])
    else:
        assert first is None or first > at(until)


@pytest.mark.parametrize("schedule", [every(1), TzAwareCrontab(tz=UTC)], ids=["interval", "crontab"])
def test_of_too_many_the_latest_are_kept_and_the_others_counted(schedule: schedules.BaseSchedule) -> None:
    after, until = at("2026-10-01T00:00:00"), at("2026-10-01T10:00:00")
    everything = due_times(schedule, after=after, until=until, limit=10**6)
    few = due_times(schedule, after=after, until=until, limit=7)
    assert few.times == everything.times[-7:]
    assert few.dropped == len(everything.times) - 7
    assert few.latest == until
    assert few.earlier == everything.times[-7:-1]


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownSchedule):
        next_due(schedules.BaseSchedule(), after=at("2026-10-01T00:00:00"))


@given(
    interval_ms=st.integers(1, 90_000_000),
    start_s=st.integers(0, 2**32),
    first_ms=st.integers(0, 10_000_000),
    second_ms=st.integers(0, 10_000_000),
)
def test_asking_in_two_steps_finds_what_asking_once_finds(
    interval_ms: int, start_s: int, first_ms: int, second_ms: int
) -> None:
    schedule = schedules.schedule(timedelta(milliseconds=interval_ms))
    start = datetime.fromtimestamp(start_s, UTC)
    middle = start + timedelta(milliseconds=first_ms)
    end = middle + timedelta(milliseconds=second_ms)
    limit = 50
    once = due_times(schedule, after=start, until=end, limit=limit)
    steps = [due_times(schedule, after=start, until=middle, limit=limit)]
    steps.append(due_times(schedule, after=middle, until=end, limit=limit))
    found = [*steps[0].times, *steps[1].times]
    assert found[-limit:] == list(once.times)
    assert sum(len(step.times) + step.dropped for step in steps) == len(once.times) + once.dropped
