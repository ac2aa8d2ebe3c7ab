"""Readings of the watch reach whoever watches the run: true figures, one at a time, none after the last phase."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path

import psycopg
import pytest
import redis

from harness.clock import pause, wait_for
from harness.drivers.process.embedded import RunningRedis, running_postgres, running_redis
from harness.errors import DriverError
from harness.events import Event, PhaseEvent, ReadingEvent
from harness.evidence.watch import STALE_S, Sampler, Watch, Watched
from harness.experiment.phases import Phases
from harness.ledger import Tally

SCHEMA = """
create table healthkit_import_chunk (batch_id uuid, status text, imported_count int);
create table healthkit_import_batch (id uuid, status text);
create table healthkit_anchor (device_id bigint, type_identifier text, batch_id uuid);
insert into healthkit_import_chunk values (gen_random_uuid(), 'DONE', 100), (gen_random_uuid(), 'PENDING', 0);
"""
TRUE = ReadingEvent("W6", queue_depth=4, unacked=2, acknowledged=300, present=100)


class Heard:
    """Keeps what it is told, and whether two told it something at once."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.is_overrun = False
        self._busy = threading.Lock()

    def on_event(self, event: Event) -> None:
        if not self._busy.acquire(blocking=False):
            self.is_overrun = True
            return
        pause(0.001)
        self.events.append(event)
        self._busy.release()

    def readings(self) -> list[Event]:
        return [each for each in self.events if isinstance(each, ReadingEvent)]


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with running_postgres() as postgres:
        with psycopg.connect(postgres.dsn(), autocommit=True) as session:
            session.execute(SCHEMA)
        yield postgres.dsn()


@pytest.fixture
def broker() -> Iterator[RunningRedis]:
    with running_redis() as broker:
        with redis.Redis.from_url(broker.url) as client:
            client.rpush("default", "a", "b", "c")
            client.rpush("high", "d")
            client.hset("unacked", mapping={"e": "1", "f": "2"})
        yield broker


@contextmanager
def watching(phases: Phases, *, dsn: str, broker: RunningRedis, directory: Path) -> Iterator[None]:
    watched = Watched(
        dsn=dsn, redis_url=broker.url, api_urls=dict, tally=lambda: Tally(acknowledged_samples=300, ops=5)
    )
    watch = Watch(watched, directory, on_reading=phases.reading, interval_s=0.02)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


def test_what_is_read_is_told(dsn: str, broker: RunningRedis, tmp_path: Path) -> None:
    heard = Heard()
    phases = Phases("W6", heard)
    phases.enter("work")
    with watching(phases, dsn=dsn, broker=broker, directory=tmp_path):
        wait_for(lambda: len(heard.readings()) >= 5, awaiting="readings", timeout_s=20)
        for _ in range(50):
            phases.enter("hold")
        assert not heard.is_overrun
        assert set(heard.readings()) == {TRUE}
        phases.end()
        count = len(heard.events)
        lines = len((tmp_path / "watch.jsonl").read_text().splitlines())
        wait_for(
            lambda: len((tmp_path / "watch.jsonl").read_text().splitlines()) > lines + 3,
            awaiting="the watch to go on",
            timeout_s=20,
        )
        assert len(heard.events) == count
    assert sum(isinstance(each, PhaseEvent) for each in heard.events) == 51


def test_nothing_is_told_of_a_store_that_is_away(dsn: str, broker: RunningRedis, tmp_path: Path) -> None:
    heard = Heard()
    phases = Phases("B1", heard)
    phases.enter("work")
    with watching(phases, dsn=dsn, broker=broker, directory=tmp_path):
        wait_for(heard.readings, awaiting="a reading", timeout_s=20)
        broker.group.kill()

        def is_silent() -> bool:
            count = len(heard.readings())
            pause(0.3)
            return len(heard.readings()) == count

        wait_for(is_silent, awaiting="silence", timeout_s=STALE_S + 20)


def test_a_replica_that_goes_while_it_is_looked_at_does_not_end_the_watch() -> None:
    answers: Iterator[Exception | dict[str, str]] = chain(
        [DriverError("no replica 'beat-2'")], repeat({"states": "well"})
    )

    def read() -> dict[str, str]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    sampler = Sampler("states", read, interval_s=0.01)
    sampler.start()
    try:
        wait_for(lambda: sampler.latest().get("states") == "well", awaiting="the next reading", timeout_s=20)
    finally:
        sampler.stop()
