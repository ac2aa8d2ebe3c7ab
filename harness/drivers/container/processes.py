"""The processes of a container, found and signalled from outside.

Where the engine runs on this machine and the harness is root, the host's process table is read: a few milliseconds,
and no process of ours inside. Elsewhere (Docker Desktop, a user in the docker group) a shell is run in the container.
The kernel ignores a signal to PID 1 that is sent from inside, so the main process is then signalled by the engine.
What the engine itself started beside the main process (health checks, our own shells) is not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from docker.errors import APIError
from docker.models.containers import Container

from harness.drivers import proc_table
from harness.drivers.protocol import Process
from harness.errors import DriverError

MAIN_PID: Final = 1
# The engine's answers about a container that is not running, or no longer there.
HAS_ENDED: Final = (404, 409)
LIVING: Final = ("running", "paused")
LIST_PROCESSES: Final = "cat /proc/[0-9]*/stat 2>/dev/null; echo; grep -a '' /proc/[0-9]*/cmdline 2>/dev/null; true"


class ProcessView(Protocol):
    """How the processes of one running container are seen and reached; pids are those inside the container."""

    def members(self) -> tuple[Process, ...]:
        """The living ones, main first; empty when the container has ended."""

    def send(self, pids: Iterable[int], signum: int) -> None:
        """Signal these; those that are gone are left out."""


def view_of(container: Container) -> ProcessView:
    """The best view there is of a container that runs; reads its main process from `container.attrs`."""
    return HostView(_main_pid(container)) if is_in_sight(container) else ShellView(container)


def is_in_sight(container: Container) -> bool:
    """Whether the host's process table shows the main process that `container.attrs` names: then it runs, too."""
    main = _main_pid(container)
    if os.geteuid() != 0 or main == 0:
        return False
    try:
        return str(container.id) in Path(f"/proc/{main}/cgroup").read_text(encoding="ascii")
    except OSError:
        return False


def _main_pid(container: Container) -> int:
    """On the host; 0 when the engine last said that it is down."""
    return int(container.attrs["State"]["Pid"])


class HostView:
    """Through the host's own process table."""

    def __init__(self, main: int) -> None:
        """`main` is the main process' pid on the host."""
        self._main = main

    def members(self) -> tuple[Process, ...]:
        """The living ones, main first."""
        table = proc_table.snapshot()
        inside = self._inside(table)
        return tuple(
            Process(
                pid=inside[pid],
                parent_pid=inside.get(table[pid].parent_pid, 0),
                state=table[pid].state,
                command=proc_table.command_line(pid),
                started_ticks=table[pid].started_ticks,
            )
            for pid in sorted(inside, key=lambda each: inside[each])
            if table[pid].state not in "ZX"
        )

    def send(self, pids: Iterable[int], signum: int) -> None:
        """Signal these."""
        outside = {own: pid for pid, own in self._inside(proc_table.snapshot()).items()}
        for pid in pids:
            if pid in outside:
                proc_table.send_signal(outside[pid], signum)

    def _inside(self, table: dict[int, proc_table.Entry]) -> dict[int, int]:
        """Pid on the host to pid in the container."""
        pids = proc_table.descendants(table, [self._main])
        found = {pid: _innermost_pid(pid) for pid in pids}
        return {pid: own for pid, own in found.items() if own is not None}


def _innermost_pid(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    line = next((each for each in status.splitlines() if each.startswith("NSpid:")), "")
    return int(line.split()[-1]) if line else None


class ShellView:
    """Through a shell run in the container; needs `sh`, `cat` and `grep` there."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def members(self) -> tuple[Process, ...]:
        """The living ones, main first."""
        stats, _, commands = self._run("sh", "-c", LIST_PROCESSES).partition("\n\n")
        named = dict(_command(line) for line in commands.splitlines() if line.startswith("/proc/"))
        found = {each.pid: each for each in map(_process, stats.splitlines())}
        return tuple(
            replace(each, command=named.get(each.pid, ""))
            for each in sorted(found.values(), key=lambda each: each.pid)
            if each.state not in "ZX" and _descends_from_main(each, found)
        )

    def send(self, pids: Iterable[int], signum: int) -> None:
        """Signal these."""
        wanted = set(pids)
        others = [str(pid) for pid in sorted(wanted - {MAIN_PID})]
        if others:
            self._run("sh", "-c", 'kill -"$0" "$@" 2>/dev/null; true', str(signum), *others)
        if MAIN_PID in wanted:
            self._container.kill(signum)

    def _run(self, *command: str) -> str:
        """What a command printed; nothing when the container has ended meanwhile. Raises: DriverError."""
        try:
            code, output = self._container.exec_run(list(command))
            if code != 0:
                self._container.reload()
        except APIError as error:
            if error.status_code in HAS_ENDED:
                return ""
            raise
        text = output.decode(errors="replace") if isinstance(output, bytes) else ""
        if code != 0:
            if self._container.status not in LIVING:
                return ""
            raise DriverError(f"{self._container.name}: {command[0]} in the container exited {code}: {text[-500:]}")
        return text


def _process(stat: str) -> Process:
    before, _, after = stat.rpartition(")")
    fields = after.split()
    return Process(
        pid=int(before.split()[0]),
        parent_pid=int(fields[1]),
        state=fields[0],
        command="",
        started_ticks=int(fields[19]),
    )


def _command(line: str) -> tuple[int, str]:
    path, _, command = line.partition(":")
    return int(path.split("/")[2]), command.replace("\0", " ").strip()


def _descends_from_main(process: Process, table: dict[int, Process]) -> bool:
    while process.pid != MAIN_PID:
        parent = table.get(process.parent_pid)
        if parent is None:
            return False
        process = parent
    return True
