"""The Postgres template in which the app's one-shot migrate has already run: a stack copies it and migrates nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.clock import wait_for
from harness.drivers import embedded_postgres
from harness.drivers.embedded_postgres import PostgresTemplate
from harness.drivers.environments import LOCK
from harness.drivers.lab_home import StoreHome
from harness.drivers.launches import helper_env
from harness.drivers.ports import ReservedPort
from harness.drivers.process_group import Launch, ProcessGroup
from harness.errors import DriverError
from harness.leftovers import Journal

MIGRATE_TIMEOUT_S = 180.0
START_TIMEOUT_S = 30.0
KEPT_TEMPLATES = 48
PER_STACK = frozenset(
    {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "REMINDER_GATEWAY_URL", "CHAOSLAB"}
    | {"HOME", "TMPDIR", "HEARTBEAT_DIR", "PATH", "PYTHONPATH"}
)

Migrate = Callable[[str], Launch]
"""Given the DATABASE_URL, how the one-shot migrate is started."""


def app_template(
    *, home: StoreHome, sources: tuple[Path, ...], env: Mapping[str, str], migrate: Migrate, journal: Journal
) -> PostgresTemplate:
    """The template for these sources and this environment; made on first use (some seconds), then kept.

    `sources` are the app and the overlay. All of their Python counts, as the migrate step runs it; of the environment
    all that is not new in every stack. Raises: DriverError when migrate fails, with its log.
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
        _migrate(data, password=password, install=base.install, home=home, migrate=migrate, journal=journal)

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
    superuser = embedded_postgres.dsn(port=port.number, password=password)
    url = embedded_postgres.dsn(port=port.number, password=password, role=embedded_postgres.APP_ROLE)
    launch = migrate(url)
    try:
        server.start(
            Launch(
                command=embedded_postgres.server_command(install, data=data, port=port.number),
                env=helper_env(journal.lab),
                directory=data,
                log=launch.log.with_name("postgres-template.log"),
                user=home.user,
            )
        )
        wait_for(
            lambda: embedded_postgres.answers(superuser) or server.exit(),
            awaiting="the template's Postgres to answer",
            timeout_s=START_TIMEOUT_S,
        )
        step.start(launch)
        ended = step.exit(timeout_s=MIGRATE_TIMEOUT_S)
        if ended is None or ended.code != 0:
            log = "\n".join(launch.log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
            raise DriverError(
                f"migrate {'still runs' if ended is None else f'exited {ended.code}'}"
                f" after at most {MIGRATE_TIMEOUT_S:.0f} s: {' '.join(launch.command)}\n{log}"
            )
    finally:
        if step.is_running:
            step.kill()
        if server.is_running:
            server.stop(signal.SIGINT, timeout_s=START_TIMEOUT_S)
        port.release()


def _forget_old(folder: Path) -> None:
    """Keep the templates used last; each takes some 40 MB. One that is being copied is not old."""
    templates = sorted(folder.glob("app-????????????"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in templates[KEPT_TEMPLATES:]:
        shutil.rmtree(path, ignore_errors=True)
