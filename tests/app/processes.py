"""Real worker and beat processes for the app's tests: started, watched through their logs, ended by their own id."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.app.environment import QUICK, SERVERS
from tests.app.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Service:
    """One process and its log."""

    process: subprocess.Popen[bytes]
    log_path: Path

    def log(self) -> str:
        """All that it has written."""
        return self.log_path.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Its whole log lines with event `name`, in order."""
        lines = (json.loads(line) for line in self.log().rpartition("\n")[0].splitlines() if line.startswith("{"))
        return [line for line in lines if line["event"] == name]

    def await_text(self, text: str, *, within_s: float = PATIENCE_S) -> float:
        """Wait for `text` in the log."""
        return wait_until(lambda: text in self.log(), what=f"{text!r} in the log", within_s=within_s, log=self.log)

    def await_event(self, name: str, *, count: int = 1, within_s: float = PATIENCE_S) -> float:
        """Wait for `count` lines with event `name`."""
        return wait_until(
            lambda: len(self.events(name)) >= count, what=f"{count} × {name}", within_s=within_s, log=self.log
        )

    def send(self, number: signal.Signals) -> None:
        """Signal the main process alone."""
        self.process.send_signal(number)

    def stop(self, *, within_s: float = PATIENCE_S) -> tuple[int, float]:
        """SIGTERM; returns exit status and seconds. Raises: WaitTimeout when it does not end in time."""
        self.send(signal.SIGTERM)
        return self.await_end(within_s=within_s)

    def await_end(self, *, within_s: float = PATIENCE_S) -> tuple[int, float]:
        """Wait for the end; returns exit status and seconds. Raises: WaitTimeout."""
        took_s = wait_until(
            lambda: self.process.poll() is not None, what="the process has ended", within_s=within_s, log=self.log
        )
        return self.process.returncode, took_s

    def children(self) -> list[int]:
        """Ids of its child processes."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]


@contextmanager
def service(
    *command: str, name: str, directory: Path, environ: Mapping[str, str] | None = None, log_name: str | None = None
) -> Iterator[Service]:
    """Run `python -m <command>` in app/ as replica `name`; what is left of it and its children is killed in the end."""
    log_path = directory / f"{log_name or name}.log"
    paths = os.pathsep.join([str(ROOT / "app"), str(ROOT)])
    fixed = {"SERVICE_NAME": name, "PYTHONPATH": paths, "HEARTBEAT_DIR": str(directory), "REMAP_SIGTERM": "SIGQUIT"}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT / "app",
            env={**os.environ, **QUICK, **fixed, **(environ or {})},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Service(process, log_path)
    finally:
        with suppress(ProcessLookupError):  # it and all its children have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def worker(*, name: str, directory: Path, module: str = "tests.app.worker_tasks", **environ: str) -> Iterator[Service]:
    """A worker of two children that is ready."""
    command = ("celery", "-A", module, "worker", "-c", "2", "-Q", "default,high", "--without-mingle")
    with service(*command, name=name, directory=directory, environ=environ) as started:
        started.await_text(f"worker@{name} ready.")
        yield started


@contextmanager
def beat(*, name: str, directory: Path, **environ: str) -> Iterator[Service]:
    """A beat that has gone round once."""
    with service("celery", "-A", "backend", "beat", name=name, directory=directory, environ=environ) as started:
        wait_until(
            lambda: bool(started.events("beat_leading") or started.events("beat_standby")),
            what="beat leads or stands by",
            log=started.log,
        )
        yield started


def broker_pid() -> int:
    """The process id of the tests' Redis, to freeze it."""
    with redis.Redis.from_url(SERVERS.redis_url) as client:
        info: Any = client.info("server")
    return int(info["process_id"])
