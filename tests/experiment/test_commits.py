"""An experiment that holds commits lets them go however it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import cast

import psycopg
import pytest

from harness.clock import wait_for
from harness.drivers.process.embedded import running_postgres, running_redis
from harness.drivers.protocol import Stack, State
from harness.errors import Inconclusive
from harness.events import Event
from harness.experiment.experiment import Experiment, new_experiment
from harness.experiment.phases import Phases
from harness.rows.plan import Plan
from harness.rows.row import Load, Row

NOBODY = 0
PATIENCE_S = 60.0
SILENCE_S = 0.5


class OnlyStores:
    """A stack without replicas."""

    def __init__(self, directory: Path, *, dsn: str, redis_url: str) -> None:
        self.directory = directory
        self.dsn = lambda: dsn
        self.redis_url = lambda: redis_url

    def api_urls(self) -> dict[str, str]:
        return {}

    def replicas(self, service: str | None = None) -> tuple[str, ...]:
        return ()

    def processes(self, name: str) -> tuple[object, ...]:
        return ()

    def state(self, name: str) -> State:
        return State.DOWN


class Deaf:
    def on_event(self, event: Event) -> None:
        """Whoever listens, not here."""


class Committer:
    """A session that commits one row after another until told to end."""

    def __init__(self, dsn: str) -> None:
        self.session = psycopg.connect(dsn, autocommit=True, application_name="worker:worker-1:1")
        self.session.execute("create table if not exists written (at timestamptz)")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            self.session.execute("insert into written values (now())")

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        assert not self._thread.is_alive(), "its commit was never answered"
        self.session.close()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as postgres:
        yield postgres.dsn()


@pytest.fixture
def x(server: str, tmp_path: Path) -> Iterator[Experiment]:
    with running_redis() as redis:
        experiment = new_experiment(
            plan=Plan(row=Row(id="P8", title="", load=Load(phones=1, samples=10))),
            stack=cast(Stack, OnlyStores(tmp_path, dsn=server, redis_url=redis.url)),
            directory=tmp_path / "x",
            seed=1,
            pace=None,
            phases=Phases("P8", Deaf()),
        )
        yield experiment
        experiment.undo()


def standbys(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as session:
        (setting,) = session.execute("show synchronous_standby_names").fetchall()[0]
    return str(setting)


@pytest.mark.parametrize(
    "end", [lambda x: x.commits.release(), Experiment.heal_all, Experiment.undo], ids=["release", "heal", "undo"]
)
def test_a_commit_that_is_held_is_answered(x: Experiment, server: str, end: Callable[[Experiment], None]) -> None:
    with closing(Committer(server)) as committer:
        held = committer.session.info.backend_pid
        x.commits.park(held, let_go=lambda: None)
        assert x.commits.standing(held)
        end(x)
        end(x)
        assert x.commits.standing(held) is None
    assert standbys(server) == ""


def test_nothing_is_let_go_before_commits_are_held_for_all(x: Experiment, server: str) -> None:
    with psycopg.connect(server, autocommit=True) as session:
        sql = "select pid from pg_stat_activity where backend_type = 'checkpointer'"
        ((checkpointer,),) = session.execute(sql).fetchall()
    let_go = threading.Event()

    def park() -> None:
        with suppress(Inconclusive):  # nobody comes; what counts is when it would have been let go
            x.commits.park(NOBODY, let_go=let_go.set)

    x.commits._timeout_s = 0.2
    parking = threading.Thread(target=park)
    os.kill(checkpointer, signal.SIGSTOP)
    try:
        parking.start()
        wait_for(lambda: standbys(server) != "", awaiting="the setting", timeout_s=PATIENCE_S)
        assert not let_go.wait(SILENCE_S)
    finally:
        os.kill(checkpointer, signal.SIGCONT)
    assert let_go.wait(PATIENCE_S)
    parking.join()


def test_commits_are_let_go_though_the_one_that_was_awaited_never_came(x: Experiment, server: str) -> None:
    x.commits._timeout_s = 0.2
    with pytest.raises(Inconclusive, match="SyncRep"):
        x.commits.park(NOBODY, let_go=lambda: None)
    assert standbys(server) != ""
    x.undo()
    assert standbys(server) == ""


def test_whoever_stands_in_such_a_commit_is_named(x: Experiment, server: str) -> None:
    with closing(Committer(server)) as committer:
        standing = x.commits.park_any("worker", statement="insert into written")
        assert (standing.replica, standing.backend_pid) == ("worker-1", committer.session.info.backend_pid)
        assert x.commits.standing(standing.backend_pid)
        x.undo()
    assert standbys(server) == ""


@pytest.mark.parametrize(
    ("service", "statement"), [("api", "insert into written"), ("worker", "insert into other")], ids=["who", "what"]
)
def test_another_commit_is_not_taken_for_it(x: Experiment, server: str, service: str, statement: str) -> None:
    x.commits._timeout_s = 0.5
    with closing(Committer(server)):
        with pytest.raises(Inconclusive, match=statement):
            x.commits.park_any(service, statement=statement)
        x.undo()
    assert standbys(server) == ""
