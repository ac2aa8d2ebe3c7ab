"""Faults of a whole Postgres server, on a real one: each bites as a client feels it, and is gone after its heal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import psycopg
import pytest

from harness.clock import wait_for
from harness.drivers.process.embedded import RunningPostgres, running_postgres
from harness.drivers.process.group import ProcessGroup
from harness.drivers.protocol import Exit, Process, Stack, State
from harness.drivers.store_access import postgres_answers
from harness.faults.postgres import FreezePostgres, KillPostgres, incarnation

PATIENCE_S = 30.0
SILENCE_S = 0.5


class OnlyServer:
    """As much of a stack as these faults ask for."""

    def __init__(self, running: RunningPostgres) -> None:
        self._running = running
        self._group: ProcessGroup = running.group

    def dsn(self) -> str:
        return self._running.dsn()

    def kill_replica(self, _name: str) -> Exit:
        return self._group.kill()

    def start_replica(self, _name: str, *, fresh: bool = False) -> None:
        self._group.start(self._running.launch)
        wait_for(lambda: postgres_answers(self.dsn()), awaiting="Postgres to recover", timeout_s=PATIENCE_S)

    def freeze(self, _name: str) -> None:
        self._group.freeze()

    def thaw(self, _name: str) -> None:
        self._group.thaw()

    def processes(self, _name: str) -> tuple[Process, ...]:
        return self._group.members()

    def exit_of(self, _name: str) -> Exit | None:
        return self._group.exit()

    def state(self, _name: str) -> State:
        return State.HEALTHY if postgres_answers(self.dsn()) else State.UNHEALTHY


@pytest.fixture(scope="module")
def running() -> Iterator[RunningPostgres]:
    with running_postgres() as postgres:
        yield postgres


@pytest.fixture
def stack(running: RunningPostgres) -> Stack:
    return cast(Stack, OnlyServer(running))


def test_killed_it_loses_what_was_open_and_recovers_what_was_committed(stack: Stack) -> None:
    fault = KillPostgres()
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        session.execute("drop table if exists kept")
        session.execute("create table kept (id int)")
        session.execute("insert into kept values (1)")
    victim = psycopg.connect(stack.dsn())
    victim.execute("insert into kept values (2)")
    fault.inject(stack)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    assert not fault.is_whole(stack)
    with pytest.raises(psycopg.OperationalError):
        victim.execute("select 1")
    victim.close()
    fault.heal(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert incarnation(stack) not in before
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        assert session.execute("select id from kept").fetchall() == [(1,)]


def test_frozen_it_takes_connections_and_answers_nobody_until_thawed(stack: Stack) -> None:
    fault = FreezePostgres()
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    with psycopg.connect(stack.dsn(), autocommit=True) as session, ThreadPoolExecutor(1) as pool:
        fault.inject(stack)
        try:
            assert fault.has_bitten(before=before, now=fault.look(stack))
            assert not fault.is_whole(stack)
            answer = pool.submit(session.execute, "select 1")
            with pytest.raises(TimeoutError):
                answer.result(timeout=SILENCE_S)
        finally:
            fault.heal(stack)
            fault.heal(stack)
        assert answer.result(timeout=PATIENCE_S).fetchone() == (1,)
    assert fault.is_whole(stack)
    assert incarnation(stack) in before
