"""Postgres and Redis for whoever needs just these: a test, a benchmark. `ProcessesStack` runs the same two in a lab.

with running_postgres() as postgres, running_redis() as redis:
    psycopg.connect(postgres.dsn())
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.clock import wait_for
from harness.drivers.leftovers import LAB_VARIABLE, Journal, release_postgres_memory, undo_leftovers
from harness.drivers.ports import ReservedPort
from harness.drivers.process import embedded_postgres, embedded_redis
from harness.drivers.process.group import Launch, ProcessGroup
from harness.drivers.store_access import (
    APP_DATABASE,
    SUPERUSER,
    postgres_answers,
    postgres_url,
    redis_answers,
    redis_url,
)
from harness.errors import DriverError
from harness.lab_home import StoreHome, lab_home, store_home

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class RunningPostgres:
    """A Postgres of one's own; `group` can kill, freeze and thaw it, and start it again by `launch`."""

    group: ProcessGroup
    launch: Launch
    port: int
    password: str
    log: Path

    def dsn(self, *, role: str = SUPERUSER, database: str = APP_DATABASE) -> str:
        """The superuser on database `app`, unless told otherwise."""
        return postgres_url(port=self.port, password=self.password, role=role, database=database)


@dataclass(frozen=True, slots=True)
class RunningRedis:
    """A Redis of one's own; `group` can kill, freeze and thaw it."""

    group: ProcessGroup
    url: str
    log: Path


@contextmanager
def running_postgres() -> Iterator[RunningPostgres]:
    """A Postgres with an empty database `app`, for the time of the block (first ever: some seconds; then under one)."""
    home = store_home(lab_home())
    template = embedded_postgres.base_template(home=home)
    with _lair("postgres", home=home) as (journal, directory), _port() as port:
        data = directory / "postgres" / "data"
        template.copy_to(data)
        home.give(data.parent)
        journal.note("postgres", data=str(data))
        group = ProcessGroup("postgres", journal=journal)
        launch = Launch(
            command=embedded_postgres.server_command(template.install, data=data, port=port),
            env=_env(journal.lab),
            directory=data.parent,
            log=directory / "postgres.log",
            user=home.user,
        )
        running = RunningPostgres(group=group, launch=launch, port=port, password=template.password, log=launch.log)
        group.start(launch)
        try:
            _await_answer("Postgres", group=group, log=running.log, url=running.dsn())
            yield running
        finally:
            end_store(group, stop_signal=signal.SIGINT)
            release_postgres_memory({"data": str(data)})


@contextmanager
def running_redis() -> Iterator[RunningRedis]:
    """A Redis with AOF on, empty, for the time of the block."""
    with _lair("redis", home=StoreHome(directory=lab_home(), user=None)) as (journal, directory), _port() as port:
        configuration = directory / "redis" / "redis.conf"
        password = embedded_redis.write_configuration(configuration, port=port)
        group = ProcessGroup("redis", journal=journal)
        address = redis_url(port=port, password=password)
        running = RunningRedis(group=group, url=address, log=directory / "redis.log")
        group.start(
            Launch(
                command=(embedded_redis.find_server(), str(configuration)),
                env=_env(journal.lab),
                directory=directory / "redis",
                log=running.log,
            )
        )
        try:
            _await_answer("Redis", group=group, log=running.log, url=address)
            yield running
        finally:
            end_store(group, stop_signal=signal.SIGTERM)


def end_store(group: ProcessGroup, *, stop_signal: int) -> None:
    """Stop a store in order (frozen or not), by SIGKILL if it takes too long. Nothing when it is down."""
    if group.is_running:
        group.thaw()
        group.stop(stop_signal, timeout_s=STOP_TIMEOUT_S)


@contextmanager
def _lair(kind: str, *, home: StoreHome) -> Iterator[tuple[Journal, Path]]:
    """A journal and a directory that go away with the block; what dead labs left is undone first."""
    undo_leftovers(home=lab_home())
    journal = Journal(lab=f"{kind}-{secrets.token_hex(4)}", home=lab_home())
    lair = home.directory / "stacks" / journal.lab
    journal.note("directory", path=str(lair))
    home.make_way(lair)
    try:
        yield journal, lair
    finally:
        shutil.rmtree(lair)
        journal.close()


@contextmanager
def _port() -> Iterator[int]:
    reserved = ReservedPort()
    try:
        yield reserved.number
    finally:
        reserved.release()


def _env(lab: str) -> dict[str, str]:
    return {LAB_VARIABLE: lab, "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _await_answer(what: str, *, group: ProcessGroup, log: Path, url: str) -> None:
    """Raises: WaitTimeout, or DriverError at once when the server ended; both with its log."""
    probe = postgres_answers if url.startswith("postgresql:") else redis_answers

    def is_up() -> bool:
        ended = group.exit()
        if ended is not None:
            raise DriverError(f"{what} exited {ended.code} while starting; its log:\n{_tail(log)}")
        return probe(url)

    wait_for(is_up, awaiting=f"{what} to answer", timeout_s=START_TIMEOUT_S, seen=lambda: _tail(log))


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
