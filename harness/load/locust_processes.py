"""The Locust processes of a load run: one, or a master and its workers; started here, followed, and ended here.

Locust patches the standard library with gevent, so it never runs inside the lab. What a killed lab left of it the next
start finds by its journal, and ends.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.clock import wait_for
from harness.drivers.leftovers import LAB_VARIABLE, Journal, undo_leftovers
from harness.errors import LabError, WaitTimeout
from harness.lab_home import PROJECT, lab_home
from harness.load.order import ORDER, LoadOrder

LOCUSTFILE: Final = "locustfiles/load.py"
LOOPBACK: Final = "127.0.0.1"
START_S: Final = 60.0
"""What each Locust process may need until it is there, on a crowded machine."""
END_S: Final = 10.0
"""What Locust needs to write its figures, beyond the requests that are still in flight."""
TAIL: Final = 15


@dataclass(slots=True)
class LocustProcesses:
    """Starts Locust for an order. `ui` opens its web page on loopback, on a port of its own.

    `running` are its processes by name: `locust`, or `master` and `worker-0`, `worker-1`, …
    """

    order: LoadOrder
    directory: Path
    ui: bool = False
    web_port: int | None = None
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _journal: Journal | None = None

    def start(self) -> None:
        """Start them all. They end by themselves when the timetable is over, except where the web page is open."""
        undo_leftovers(home=lab_home())
        self._journal = journal = Journal(lab=f"locust-{secrets.token_hex(4)}", home=lab_home())
        self.directory.mkdir(parents=True, exist_ok=True)
        Path(self.order.directory).mkdir(parents=True, exist_ok=True)
        if self.order.processes == 1:
            self._spawn("locust", [*self._head(), *self._figures()], journal=journal)
            return
        port = free_port()
        master = ["--master", "--master-bind-host", LOOPBACK, "--master-bind-port", str(port)]
        master += ["--expect-workers", str(self.order.processes), "--expect-workers-max-wait", f"{START_S:.0f}"]
        self._spawn("master", [*self._head(), *self._figures(), *master], journal=journal)
        worker = ["--worker", "--master-host", LOOPBACK, "--master-port", str(port)]
        for number in range(self.order.processes):
            self._spawn(f"worker-{number}", worker, journal=journal)

    @property
    def is_running(self) -> bool:
        """Whether any of them lives."""
        return any(each.poll() is None for each in self.running.values())

    def ended(self) -> tuple[str, ...]:
        """Each that has ended, with its exit code and its last words."""
        return tuple(self._end_of(name) for name, each in self.running.items() if each.poll() is not None)

    def failed(self) -> tuple[str, ...]:
        """Those that ended otherwise than Locust ends a run (1 says that requests failed, which is not its fault)."""
        return tuple(
            self._end_of(name)
            for name, each in self.running.items()
            if each.returncode not in (None, 0, 1, -signal.SIGTERM, -signal.SIGKILL)
        )

    def let_end(self) -> None:
        """Give Locust the time to write its figures when the run is over; with its page open it never ends itself."""
        if self.ui:
            return
        try:
            self._wait(timeout_s=END_S)
        except WaitTimeout:
            return  # `stop` tells it, and SIGKILL is its last word

    def stop(self) -> None:
        """SIGTERM, then SIGKILL to those that do not end. Idempotent. Raises: WaitTimeout when one survives."""
        self._end_all()
        if self._journal is not None:
            self._journal.close()

    def _end_all(self) -> None:
        patience_s = self.order.request_timeout_s + END_S
        for signum, timeout_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, END_S)):
            for each in self.running.values():
                if each.poll() is None:
                    each.send_signal(signum)
            try:
                self._wait(timeout_s=timeout_s)
            except WaitTimeout:
                if signum is signal.SIGKILL:
                    raise
            else:
                return

    def _wait(self, *, timeout_s: float) -> None:
        wait_for(lambda: not self.is_running, awaiting="Locust to end", timeout_s=timeout_s, interval_s=0.1)

    def _head(self) -> Sequence[str]:
        if not self.ui:
            return ["--headless", "--only-summary"]
        self.web_port = free_port()
        return ["--autostart", "--web-host", LOOPBACK, "--web-port", str(self.web_port)]

    def _figures(self) -> Sequence[str]:
        """Locust's own CSV and HTML, beside the lab's report."""
        return ["--csv", str(self.directory / "locust"), "--html", str(self.directory / "locust.html")]

    def _spawn(self, name: str, words: Sequence[str], *, journal: Journal) -> None:
        command = [sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--loglevel", "WARNING"]
        command += ["--stop-timeout", f"{self.order.request_timeout_s:.0f}", *words]
        with self._log(name).open("wb") as log:
            self.running[name] = subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**os.environ, LAB_VARIABLE: journal.lab, ORDER: self.order.as_text()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        journal.note_process(self.running[name].pid)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _end_of(self, name: str) -> str:
        lines = self._log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(lines[-TAIL:]) or "(none)"
        return f"{name} ended with exit code {self.running[name].returncode}; its last words:\n{tail}"


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def await_page(port: int, *, timeout_s: float = START_S) -> str:
    """The address of Locust's web page, once it listens. Raises: LabError when it does not in time."""
    deadline = time.monotonic() + timeout_s

    def listens() -> bool:
        with socket.socket() as probe:
            probe.settimeout(max(0.1, deadline - time.monotonic()))
            return probe.connect_ex((LOOPBACK, port)) == 0

    try:
        wait_for(listens, awaiting=f"Locust's page on port {port}", timeout_s=timeout_s, interval_s=0.2)
    except WaitTimeout as error:
        raise LabError(str(error)) from error
    return f"http://{LOOPBACK}:{port}"
