"""Real beat processes: one leads, the other takes over, and what was frozen does not tick when it thaws."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
import redis
from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from scheduling.models import Tick
from tests.app.processes import Service, beat, broker_pid, service
from tests.app.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.usefixtures("stores", "entry")

SHORT_LEASE_S = 3.0


@pytest.fixture
def entry() -> Iterator[PeriodicTask]:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    row: PeriodicTask = PeriodicTask.objects.create(name="e", task="tests.note", args='["x"]', interval=every)
    yield row
    connection.close()


def published() -> list[Tick]:
    return list(Tick.objects.filter(status="published").order_by("due_at"))


def await_ticks(count: int, *, by: Service) -> None:
    wait_until(lambda: len(published()) >= count, what=f"{count} ticks", log=by.log)


def messages() -> int:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        return int(client.llen("default"))


def freeze_between_ticks(leader: Service) -> None:
    """SIGSTOP where it has published, noted and logged all that it claimed, and holds no lock that others wait for."""

    def is_between() -> bool:
        leader.send(signal.SIGSTOP)
        has_all = len(leader.events("tick_published")) == len(published()) == messages()
        if has_all and not Tick.objects.filter(status="claimed").exists() and not has_transaction(leader):
            return True
        leader.send(signal.SIGCONT)
        return False

    wait_until(is_between, what="the leader is between two ticks", log=leader.log)


def has_transaction(beat: Service) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE %s AND xact_start IS NOT NULL",
            [f"beat:%:{beat.process.pid}"],
        )
        return cursor.fetchone() is not None


def is_gapless() -> bool:
    dues = [tick.due_at for tick in Tick.objects.order_by("due_at")]
    return all((later - due).total_seconds() == 1 for due, later in pairwise(dues))


def test_standby_takes_over_from_a_killed_leader(tmp_path: Path) -> None:
    with beat(name="b1", directory=tmp_path) as first, beat(name="b2", directory=tmp_path) as second:
        await_ticks(2, by=first)
        assert len(second.events("beat_standby")) == 1
        assert second.events("tick_published") == []
        freeze_between_ticks(first)
        first.send(signal.SIGKILL)
        second.await_event("beat_leading")
        second.await_event("tick_published")
        second.stop()
    both = [event["tick"] for each in (first, second) for event in each.events("tick_published")]
    assert len(both) == len(set(both)) == messages()
    assert is_gapless()


def test_leader_told_to_stop_hands_over_at_once(tmp_path: Path) -> None:
    with (
        beat(name="b1", directory=tmp_path, BEAT_LEASE_S=f"{2 * PATIENCE_S:g}") as first,
        beat(name="b2", directory=tmp_path, BEAT_LEASE_S=f"{2 * PATIENCE_S:g}") as second,
    ):
        status, _ = first.stop()
        assert status == 0
        second.await_event("beat_leading")


def test_beat_frozen_between_its_tick_and_its_publish_publishes_nothing_when_it_thaws(tmp_path: Path) -> None:
    with beat(name="b1", directory=tmp_path) as first, beat(name="b2", directory=tmp_path) as second:
        await_ticks(1, by=first)
        with psycopg.connect(os.environ["DATABASE_URL"]) as ours:
            parked = first_parked_tick(ours)
            first.send(signal.SIGSTOP)
            ours.rollback()  # its insert goes through now, and it does not know
        second.await_event("beat_leading")
        wait_until(
            lambda: (
                parked in [event["tick"] for event in second.events("tick_published")]
                or parked in [event["tick"] for event in second.events("tick_missed")]
            ),
            what=f"{parked} is made up or reported by the second beat",
            log=second.log,
        )
        before = len(first.events("tick_published"))
        first.send(signal.SIGCONT)
        first.await_event("beat_lease_lost")
        first.await_event("beat_standby")
        assert len(first.events("tick_published")) == before
        assert parked not in [event["tick"] for event in first.events("tick_published")]


def first_parked_tick(ours: "psycopg.Connection[tuple[object, ...]]") -> str:
    """Hold the row of the next due time, until the leader's insert waits for us; the tick that it is about."""
    with ours.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scheduling_tick (entry, due_at, status, holder, created_at)"
            " VALUES ('e', to_timestamp(floor(extract(epoch FROM clock_timestamp())) + 2), 'claimed', '', now())"
            " RETURNING due_at, pg_backend_pid()"
        )
        row = cursor.fetchone()
        assert row is not None
        due_at, pid = row
    wait_until(lambda: is_waited_for(int(str(pid))), what="beat waits for our row")
    assert isinstance(due_at, datetime)
    return f"e|{due_at.astimezone(UTC).isoformat()}"


def is_waited_for(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", [pid])
        return cursor.fetchone() is not None


def test_frozen_broker_ends_nothing_and_every_due_time_is_accounted_for(tmp_path: Path) -> None:
    with beat(name="b1", directory=tmp_path) as only:
        await_ticks(1, by=only)
        pid = broker_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            only.await_event("tick_missed", count=2)
        finally:
            os.kill(pid, signal.SIGCONT)
        count = len(published())
        await_ticks(count + 2, by=only)
        assert only.events("beat_lease_lost") == []
        status, _ = only.stop()
    assert status == 0
    assert is_gapless()


def test_health_tells_a_frozen_beat_from_one_that_leads_or_stands_by(tmp_path: Path) -> None:
    times = {"BEAT_LEASE_S": f"{SHORT_LEASE_S:g}"}
    with beat(name="b1", directory=tmp_path, **times) as first, beat(name="b2", directory=tmp_path, **times):
        await_ticks(1, by=first)
        assert health("b1", tmp_path) == 0
        assert health("b2", tmp_path) == 0
        freeze_between_ticks(first)
        took_s = wait_until(lambda: health("b1", tmp_path) == 1, what="b1 is unhealthy")
        assert took_s > SHORT_LEASE_S
        assert health("b2", tmp_path) == 0


def health(name: str, directory: Path) -> int:
    times = {"BEAT_LEASE_S": f"{SHORT_LEASE_S:g}"}
    with service(
        "backend.beat_health", name=name, directory=directory, environ=times, log_name=f"{name}-health"
    ) as check:
        return check.await_end()[0]
