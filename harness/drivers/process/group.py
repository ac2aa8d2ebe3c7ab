"""One replica as a group of local processes: started in a session of its own, and harmed from outside.

Like a container: when the main process ends, whatever it left behind is killed at once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.clock import wait_for
from harness.drivers import proc_table
from harness.drivers.leftovers import Journal
from harness.drivers.protocol import Exit, Process, Scope
from harness.drivers.replica_state import HARMLESS, freeze
from harness.errors import DriverError

KILL_TIMEOUT_S = 10.0
LAYOUT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a replica is started. `directory` is its own (created), and where it runs; `log` is appended to.

    `user` is the account to become (numeric), None for the harness's own.
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    directory: Path
    log: Path
    user: int | None = None


class ProcessGroup:
    """A replica over all its incarnations."""

    def __init__(self, name: str, *, journal: Journal) -> None:
        """Nothing runs yet; each main process will be noted in `journal`."""
        self.name = name
        self._journal = journal
        self._popen: subprocess.Popen[bytes] | None = None
        self._directory = ""
        self._exit: Exit | None = None
        self._ended = threading.Event()
        self._first_signal_at: float | None = None
        self._was_killed = False
        self.environment: Mapping[str, str] = {}
        """What the latest incarnation was started with, as the kernel had it; see `_environment_at_start`."""

    @property
    def is_running(self) -> bool:
        """Whether the main process lives (frozen counts as living)."""
        return self._popen is not None and not self._ended.is_set()

    def start(self, launch: Launch) -> None:
        """Start a new incarnation. Raises: DriverError when one runs, or the command cannot be found."""
        if self.is_running:
            raise DriverError(f"{self.name} runs already: stop it first")
        executable = shutil.which(launch.command[0], path=launch.env.get("PATH"))
        if executable is None:
            raise DriverError(f"{self.name}: no {launch.command[0]!r} on PATH={launch.env.get('PATH')}")
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        launch.directory.mkdir(parents=True, exist_ok=True)
        self._directory = str(launch.directory.resolve())
        self._exit, self._first_signal_at, self._was_killed = None, None, False
        self._ended = threading.Event()
        with launch.log.open("ab") as log:
            if log.tell() and not _ends_with_newline(launch.log):
                log.write(b"\n")  # A killed incarnation may have left half a line.
            self._popen = subprocess.Popen(
                [executable, *launch.command[1:]],
                env=dict(launch.env),
                cwd=launch.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=launch.user,
                group=launch.user,
                extra_groups=None if launch.user is None else [],
            )
        self._journal.note_process(self._popen.pid)
        threading.Thread(
            target=self._watch, args=(self._popen, self._ended), name=f"watch {self.name}", daemon=True
        ).start()
        self.environment = _environment_at_start(self._popen.pid)

    def members(self) -> tuple[Process, ...]:
        """The living processes, main first, then by pid; empty when the main process has ended."""
        popen = self._popen
        if popen is None or self._ended.is_set():
            return ()
        table = proc_table.snapshot()
        pids = proc_table.descendants(table, [popen.pid])
        pids |= {entry.pid for entry in table.values() if entry.session == popen.pid}
        alive = sorted((pid for pid in pids if table[pid].state not in "ZX"), key=lambda pid: (pid != popen.pid, pid))
        return tuple(
            Process(
                pid=pid,
                parent_pid=table[pid].parent_pid,
                state=table[pid].state,
                command=proc_table.command_line(pid),
                started_ticks=table[pid].started_ticks,
            )
            for pid in alive
        )

    def signal(self, signum: int, *, scope: Scope) -> None:
        """Send a signal to the main process or to every process. Raises: DriverError when it is down."""
        members = self._living_members()
        if signum not in HARMLESS:
            self._note_first_signal()
        for process in members[:1] if scope is Scope.MAIN else members:
            proc_table.send_signal(process.pid, signum)

    def signal_member(self, pid: int, signum: int) -> None:
        """Send a signal to one process. Raises: DriverError when it is none of this replica's."""
        members = self._living_members()
        if pid not in {process.pid for process in members}:
            raise DriverError(f"{self.name} has no process {pid}; it has {[process.pid for process in members]}")
        if pid == members[0].pid and signum not in HARMLESS:
            self._note_first_signal()
        proc_table.send_signal(pid, signum)

    def freeze(self) -> None:
        """SIGSTOP to every process. Raises: DriverError when it is down, WaitTimeout."""
        self._living_members()

        def stop(pids: list[int]) -> None:
            for pid in pids:
                proc_table.send_signal(pid, signal.SIGSTOP)

        freeze(self.name, members=self.members, stop=stop)

    def thaw(self) -> None:
        """SIGCONT to every process, children first so that the main process finds them at work."""
        for process in reversed(self.members()):
            proc_table.send_signal(process.pid, signal.SIGCONT)

    def stop(self, signum: int, *, timeout_s: float, scope: Scope = Scope.MAIN) -> Exit:
        """Signal whom `scope` says, SIGKILL to all after `timeout_s`. Raises: DriverError when it is down."""
        self._living_members()
        self.signal(signum, scope=scope)
        ended = self.exit(timeout_s=timeout_s)
        if ended is not None:
            return ended
        self._was_killed = True
        return self.kill()

    def kill(self) -> Exit:
        """SIGKILL to every process, main first so that it replaces none. Returns the last exit when it is down."""
        self._note_first_signal()
        for process in self.members():
            proc_table.send_signal(process.pid, signal.SIGKILL)
        ended = self.exit(timeout_s=KILL_TIMEOUT_S)
        if ended is None:
            raise DriverError(f"{self.name} did not end within {KILL_TIMEOUT_S} s of SIGKILL: {self.members()}")
        return ended

    def exit(self, *, timeout_s: float = 0.0) -> Exit | None:
        """How the latest incarnation ended; None while it runs or if there was none."""
        if self._popen is None:
            return None
        self._ended.wait(timeout_s)
        return self._exit

    def _living_members(self) -> tuple[Process, ...]:
        members = self.members()
        if not members:
            ended = self.exit(timeout_s=KILL_TIMEOUT_S)  # It may be dead, and not yet be seen to be.
            raise DriverError(f"{self.name} is down: {ended or 'it was never started'}")
        return members

    def _note_first_signal(self) -> None:
        if self._first_signal_at is None:
            self._first_signal_at = time.monotonic()

    def _watch(self, popen: subprocess.Popen[bytes], ended: threading.Event) -> None:
        """Thread of one incarnation: wait for the main process, kill what it left, publish how it ended."""
        code = popen.wait()
        at = time.monotonic()
        self._kill_remains(popen.pid)
        took_s = at - self._first_signal_at if self._first_signal_at is not None else 0.0
        self._exit = Exit(
            code=code if code >= 0 else 128 - code, took_s=took_s, killed=self._was_killed and code == -signal.SIGKILL
        )
        ended.set()

    def _kill_remains(self, session: int) -> None:
        """SIGKILL to what the main process left: its session, and what runs in its directory (Postgres backends)."""

        def remains() -> set[int]:
            return {
                entry.pid
                for entry in proc_table.snapshot().values()
                if entry.state not in "ZX"
                and entry.pid != os.getpid()
                and (
                    (entry.session == session and entry.pid != session)
                    or proc_table.is_at_work_in(entry, self._directory)
                )
            }

        def none_left() -> bool:
            left = remains()
            for pid in left:
                proc_table.send_signal(pid, signal.SIGKILL)
            return not left

        wait_for(
            none_left,
            awaiting=f"the end of what {self.name} left behind",
            timeout_s=KILL_TIMEOUT_S,
            interval_s=0.005,
            seen=lambda: str(remains()),
        )


def _environment_at_start(pid: int) -> dict[str, str]:
    """Of a child that has just been started. Popen returns while the kernel still lays out the new program.

    Empty for what ended at once or was faster in writing over it, and where it is not ours to read: another account's
    is not where root lacks CAP_SYS_PTRACE.
    """
    variables: frozenset[bytes] = frozenset()

    def is_laid_out() -> bool:
        nonlocal variables
        entry = proc_table.read_entry(pid)
        variables = proc_table.environment(pid)
        return bool(variables) or entry is None or entry.state in "ZX" or not proc_table.may_read_environment(pid)

    wait_for(
        is_laid_out, awaiting=f"process {pid} to have its environment", timeout_s=LAYOUT_TIMEOUT_S, interval_s=0.001
    )
    return dict(each.decode(errors="replace").split("=", 1) for each in variables if b"=" in each)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
