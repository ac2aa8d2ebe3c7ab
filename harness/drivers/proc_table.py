"""The process table, read from /proc in one pass (psutil takes ten times as long, and freezing polls it)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_BLOCK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Entry:
    """One process; `state` is the letter of proc(5), `started_ticks` counts clock ticks since boot.

    `has_terminal`: somebody sits before it. Nothing that the lab starts has one.
    """

    pid: int
    parent_pid: int
    session: int
    state: str
    started_ticks: int
    has_terminal: bool


def read_entry(pid: int) -> Entry | None:
    """One process, or None when there is none."""
    try:
        stat = _content(f"/proc/{pid}/stat", is_line=True)
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split(None, 20)  # The name before it may hold spaces and brackets.
    return Entry(
        pid=pid,
        state=fields[0].decode(),
        parent_pid=int(fields[1]),
        session=int(fields[3]),
        started_ticks=int(fields[19]),
        has_terminal=fields[4] != b"0",
    )


def snapshot() -> dict[int, Entry]:
    """Every process that can be seen, by pid."""
    entries = (read_entry(int(name)) for name in os.listdir(PROC) if name.isdigit())
    return {entry.pid: entry for entry in entries if entry is not None}


def descendants(table: Mapping[int, Entry], roots: Iterable[int]) -> set[int]:
    """The roots that are in the table, and everything below them."""
    children: dict[int, list[int]] = {}
    for entry in table.values():
        children.setdefault(entry.parent_pid, []).append(entry.pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in table]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting.extend(children.get(pid, ()))
    return found


def command_line(pid: int) -> str:
    """The command with its arguments; empty when the process is gone or not ours to read."""
    return _read(pid, "cmdline").replace(b"\0", b" ").strip().decode(errors="replace")


def environment(pid: int) -> frozenset[bytes]:
    """The variables as `NAME=value`; empty when the process is gone, not ours to read, or not yet laid out.

    Of one that wrote over them (Redis, Postgres) something else is left, if only an empty word.
    """
    raw = _read(pid, "environ")
    return frozenset(raw.split(b"\0")) if raw else frozenset()


def may_read_environment(pid: int) -> bool:
    """False when the kernel says that the environment is not ours to read; of a process that is gone it does not."""
    try:
        _content(f"/proc/{pid}/environ")
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def working_directory(pid: int) -> str:
    """The working directory; empty when the process is gone or not ours to read."""
    try:
        return str((PROC / str(pid) / "cwd").readlink())
    except OSError:
        return ""


def is_at_work_in(entry: Entry, directory: str) -> bool:
    """Whether it runs in or below this directory, and is not somebody's shell or editor there."""
    return not entry.has_terminal and (working_directory(entry.pid) + "/").startswith(directory + "/")


def send_signal(pid: int, signum: int) -> bool:
    """Send a signal; False when there is no such process any more."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


def _read(pid: int, name: str) -> bytes:
    try:
        return _content(f"/proc/{pid}/{name}")
    except OSError:
        return b""


def _content(path: str, *, is_line: bool = False) -> bytes:
    """Of a file in /proc, without the layers of `open`: they are read many times a second; a line comes in one read.

    Raises: OSError.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.read(file, _BLOCK_BYTES)]
        while parts[-1] and not is_line:
            parts.append(os.read(file, _BLOCK_BYTES))
    finally:
        os.close(file)
    return b"".join(parts)
