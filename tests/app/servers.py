"""Postgres and Redis for the app's tests: a directory of their own, gone with the session; no syncs."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis

from harness.drivers.ports import ReservedPort
from harness.drivers.process.embedded_postgres import find_install, run_tool, server_command
from harness.drivers.process.embedded_redis import find_server
from harness.lab_home import lab_home, store_home
from tests.app.waiting import PATIENCE_S, wait_until


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the two servers will answer; planned before they are started, because settings are read at import."""

    directory: Path
    redis_port: ReservedPort

    @property
    def data(self) -> Path:
        """Postgres' data; it listens on a Unix socket in there."""
        return self.directory / "pg"

    @property
    def database_url(self) -> str:
        """A superuser's, without a password: nobody but us reaches the socket."""
        return f"postgresql://postgres@/postgres?host={self.data}"

    @property
    def redis_url(self) -> str:
        """Redis listens on a port of the loopback."""
        return f"redis://127.0.0.1:{self.redis_port.number}/0"


def plan_servers() -> Servers:
    """Choose a directory, which is not made yet, and a port."""
    return Servers(Path(tempfile.gettempdir()) / f"app-tests-{secrets.token_hex(4)}", ReservedPort())


@contextmanager
def running(servers: Servers) -> Iterator[Servers]:
    """Start both servers; stop them and remove their directory in the end."""
    servers.directory.mkdir(mode=0o755)  # Postgres runs as another user when we are root
    try:
        with _postgres(servers), _redis(servers):
            yield servers
    finally:
        shutil.rmtree(servers.directory)


@contextmanager
def _postgres(servers: Servers) -> Iterator[None]:
    home = store_home(lab_home())
    install = find_install(home)
    servers.data.mkdir(mode=0o700)
    home.give(servers.data)
    words = f"--no-sync -U postgres -A trust -E UTF8 --no-locale --pgdata={servers.data}".split()
    run_tool([str(install / "bin" / "initdb"), *words], user=home.user)
    command = server_command(install, data=servers.data, port=5432)  # no more than the name of its socket
    options = {"listen_addresses": "", "unix_socket_directories": servers.data, "fsync": "off", "timezone": "UTC"}
    command += tuple(word for name, value in options.items() for word in ("-c", f"{name}={value}"))
    with _process(servers, "postgres", command, stop=signal.SIGQUIT, user=home.user, answers=_postgres_answers):
        yield


@contextmanager
def _redis(servers: Servers) -> Iterator[None]:
    command = (find_server(), "--port", str(servers.redis_port.number), "--bind", "127.0.0.1", "--save", "")
    with _process(servers, "redis", command, stop=signal.SIGTERM, user=None, answers=_redis_answers):
        yield


@contextmanager
def _process(
    servers: Servers,
    name: str,
    command: tuple[str, ...],
    *,
    stop: signal.Signals,
    user: int | None,
    answers: Callable[[Servers], bool],
) -> Iterator[None]:
    log_path = servers.directory / f"{name}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=servers.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            start_new_session=True,  # Ctrl-C is for pytest, which then stops it
        )
    try:
        wait_until(
            lambda: process.poll() is not None or answers(servers), what=f"{name} answers", log=log_path.read_text
        )
        assert process.poll() is None, f"{name} exited {process.returncode}: {log_path.read_text()}"
        yield
    finally:
        process.send_signal(stop)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()


def _postgres_answers(servers: Servers) -> bool:
    try:
        psycopg.connect(servers.database_url).close()
    except psycopg.OperationalError:
        return False
    return True


def _redis_answers(servers: Servers) -> bool:
    with redis.Redis.from_url(servers.redis_url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
