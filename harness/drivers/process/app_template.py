"""The Postgres template in which the app's one-shot migrate has already run: a stack copies it and migrates nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from harness.clock import wait_for
from harness.drivers.env_block import PER_STACK, TEMPLATES_KEPT
from harness.drivers.leftovers import Journal, release_postgres_memory
from harness.drivers.ports import ReservedPort
from harness.drivers.process import embedded_postgres
from harness.drivers.process.embedded_postgres import PostgresTemplate
from harness.drivers.process.environments import LOCK
from harness.drivers.process.group import Launch, ProcessGroup
from harness.drivers.process.launches import helper_env
from harness.drivers.store_access import APP_ROLE, postgres_answers, postgres_url
from harness.errors import DriverError, StartFailed
from harness.lab_home import StoreHome

MIGRATE_TIMEOUT_S = 180.0
START_TIMEOUT_S = 30.0

Migrate = Callable[[str], Launch]
"""Given the DATABASE_URL, how the one-shot migrate is started."""


def app_template(
    *, home: StoreHome, sources: tuple[Path, ...], env: Mapping[str, str], migrate: Migrate, journal: Journal
) -> PostgresTemplate:
    """The template for these sources and this environment; made on first use (some seconds), then kept.

    `sources` are the app and the overlay. All of their Python counts, as the migrate step runs it; of the environment
    all that is not new in every stack. Raises: StartFailed when migrate fails, with its log.
    """
    base = embedded_postgres.base_template(home=home)
    key = _key(base=base, sources=sources, env=env)
    folder = home.directory / "templates"
    template = PostgresTemplate(folder / f"app-{key}", install=base.install, home=home)
    if template.is_made():
        os.utime(template.directory)
        return template

    def fill(data: Path, password: str) -> None:
        base.copy_to(data)
        journal.note("postgres", data=str(data))
        _migrate(data, password=password, install=base.install, home=home, migrate=migrate, journal=journal)

    journal.note("directory", path=str(template.unborn))
    template.make(fill, password=base.password)
    _forget_old(folder)
    return template


def _key(*, base: PostgresTemplate, sources: tuple[Path, ...], env: Mapping[str, str]) -> str:
    digest = hashlib.sha256(base.directory.name.encode() + LOCK.read_bytes())
    for source in sources:
        for path in sorted(source.rglob("*.py")):
            digest.update(f"\0{path.relative_to(source)}\0".encode() + path.read_bytes())
    digest.update(repr(sorted((name, value) for name, value in env.items() if name not in PER_STACK)).encode())
    return digest.hexdigest()[:12]


def _migrate(data: Path, *, password: str, install: Path, home: StoreHome, migrate: Migrate, journal: Journal) -> None:
    """Run the cluster, run migrate against it, stop the cluster in order."""
    port = ReservedPort()
    server = ProcessGroup("postgres of the template", journal=journal)
    step = ProcessGroup("migrate", journal=journal)
    with ExitStack() as undoing:
        undoing.callback(port.release)
        undoing.callback(release_postgres_memory, {"data": str(data)})
        undoing.callback(_end, server)
        undoing.callback(_end, step)
        superuser = postgres_url(port=port.number, password=password)
        launch = migrate(postgres_url(port=port.number, password=password, role=APP_ROLE))
        server_log = launch.log.with_name("postgres-template.log")
        server.start(
            Launch(
                command=embedded_postgres.server_command(install, data=data, port=port.number),
                env=helper_env(journal.lab),
                directory=data,
                log=server_log,
                user=home.user,
            )
        )
        wait_for(
            lambda: postgres_answers(superuser) or server.exit(),
            awaiting="the template's Postgres to answer",
            timeout_s=START_TIMEOUT_S,
        )
        if not server.is_running:
            raise DriverError(f"the template's Postgres {server.exit()} while starting; its log is {server_log}")
        step.start(launch)
        ended = step.exit(timeout_s=MIGRATE_TIMEOUT_S)
        if ended is None or ended.code != 0:
            log = "\n".join(launch.log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
            raise StartFailed(
                f"migrate {'still runs' if ended is None else f'exited {ended.code}'}"
                f" after at most {MIGRATE_TIMEOUT_S:.0f} s: {' '.join(launch.command)}\n{log}",
                replica="migrate",
                exit_code=None if ended is None else ended.code,
            )
        stopped = server.exit() or server.stop(signal.SIGINT, timeout_s=START_TIMEOUT_S)
        if stopped.code != 0:
            raise DriverError(f"the template's Postgres did not stop in order: {stopped}; its log is {server_log}")


def _end(group: ProcessGroup) -> None:
    if group.is_running:
        group.kill()


def _forget_old(folder: Path) -> None:
    """Keep the templates used last; each takes some 50 MB. One that is being copied is not old."""
    templates = sorted(folder.glob("app-????????????"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in templates[TEMPLATES_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
