"""The journal of what each lab started, so that the next start can undo what a killed harness left behind.

One file per lab under `<home>/journal/`, held with an exclusive flock for as long as its harness lives: the kernel lets
go of the lock however the harness dies, so a free lock proves that a lab is an orphan, whatever became of its pid.
Processes are found three ways, since a harness may die between starting one and noting it, and Postgres writes over its
environment: by journal (pid and start time), by CHAOSLAB=<lab> in their environment, by a working directory below the
lab's own (but for what sits at a terminal: a person is looking around). Labs whose harness lives are never touched.

Faults need no notes: what they leave lies inside a stack (its processes, links, the data of its stores; so the lab's
constraint of `RefuseSample` and the setting of `CommitWait`), and a stack never outlives the undoing of its lab, nor is
one taken over by another lab: each starts from empty stores. `lab up` is no exception. Stacks elsewhere, which do live
on, are given no faults.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from harness.clock import wait_for
from harness.drivers import proc_table

LAB_VARIABLE = "CHAOSLAB"
Fact = str | int | float
Undoer = Callable[[Mapping[str, Fact]], None]
NO_UNDOERS: Mapping[str, Undoer] = MappingProxyType({})
END_TIMEOUT_S = 10.0


class Journal:
    """What one lab has started. Kinds known here: `process`, `directory`, `postgres`; a driver may note others."""

    def __init__(self, *, lab: str, home: Path) -> None:
        """Open the journal of `lab` (a short unique name) and hold it until `close`."""
        folder = home / "journal"
        folder.mkdir(parents=True, exist_ok=True)
        self.lab = lab
        self.path = journal_path(home, lab)
        unborn = folder / f".{lab}.{os.getpid()}"
        self._file = unborn.open("a", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unborn.rename(self.path)  # Only now can another lab see it, and it is held already.

    def note(self, kind: str, **facts: Fact) -> None:
        """Write down one thing that must be undone; note it before it exists where its name is known before."""
        self._file.write(json.dumps({"kind": kind, **facts}) + "\n")
        self._file.flush()

    def note_process(self, pid: int) -> None:
        """Write down a process with its start time, so that a later process of the same pid is not taken for it."""
        entry = proc_table.read_entry(pid)
        if entry is not None:
            self.note("process", pid=pid, started_ticks=entry.started_ticks)

    def close(self) -> None:
        """Everything was ended in order: forget it. Idempotent."""
        if not self._file.closed:
            self.path.unlink(missing_ok=True)
            self._file.close()


def journal_path(home: Path, lab: str) -> Path:
    """Where the journal of a lab is, from before its first start until it has ended in order or was undone."""
    return home / "journal" / f"{lab}.jsonl"


@dataclass(frozen=True, slots=True)
class Undone:
    """What was found of one dead lab: processes ended, directories removed, and notes that nobody could undo."""

    lab: str
    pids: tuple[int, ...]
    directories: tuple[str, ...]
    others: tuple[str, ...]
    not_undone: tuple[str, ...]


def undo_leftovers(*, home: Path, undoers: Mapping[str, Undoer] = NO_UNDOERS) -> tuple[Undone, ...]:
    """End and remove what labs with a dead harness left behind; `undoers` by kind of note, each idempotent.

    A journal with a note that has no undoer is kept, for a start that has one.

    Raises: WaitTimeout when a process does not end on SIGKILL; whatever an undoer raises.
    """
    undone = []
    for path in sorted((home / "journal").glob("*.jsonl")):
        try:
            file = path.open(encoding="utf-8")
        except FileNotFoundError:
            continue  # Its harness has ended in order, just now.
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # Its harness lives.
            found = _undo_lab(lab=path.stem, notes=_notes(file.read()), undoers=undoers)
            if not found.not_undone:
                path.unlink(missing_ok=True)
            undone.append(found)
    return tuple(undone)


def _notes(text: str) -> list[dict[str, Fact]]:
    """The notes of a journal; the last line may have been cut off by the kill."""
    notes: list[dict[str, Fact]] = []
    for line in text.splitlines():
        try:
            note = json.loads(line)
        except json.JSONDecodeError:
            continue
        notes.append({str(key): value for key, value in note.items() if isinstance(value, str | int | float)})
    return notes


def _undo_lab(*, lab: str, notes: list[dict[str, Fact]], undoers: Mapping[str, Undoer]) -> Undone:
    directories = tuple(str(note["path"]) for note in notes if note["kind"] == "directory")
    started = {int(note["pid"]): int(note["started_ticks"]) for note in notes if note["kind"] == "process"}
    ended: set[int] = set()
    quiet_looks = 0

    def none_left() -> bool:
        """In two looks in a row: one that dies may have forked behind the back of the look that saw it dead."""
        nonlocal quiet_looks
        alive = _processes_of(lab=lab, started=started, directories=directories)
        for pid in alive:
            proc_table.send_signal(pid, signal.SIGKILL)
        ended.update(alive)
        quiet_looks = 0 if alive else quiet_looks + 1
        return quiet_looks >= 2

    wait_for(
        none_left,
        awaiting=f"the end of the processes that lab {lab} left behind",
        timeout_s=END_TIMEOUT_S,
        interval_s=0.01,
        seen=lambda: str(sorted(_processes_of(lab=lab, started=started, directories=directories))),
    )
    others, not_undone = [], []
    for note in notes:
        kind = str(note["kind"])
        if kind in ("process", "directory"):
            continue
        undoer = release_postgres_memory if kind == "postgres" else undoers.get(kind)
        if undoer is None:
            not_undone.append(json.dumps(note))
        else:
            undoer(note)
            others.append(json.dumps(note))
    removed = tuple(path for path in directories if Path(path).exists())
    for directory in removed:
        shutil.rmtree(directory)
    return Undone(
        lab=lab,
        pids=tuple(sorted(ended)),
        directories=removed,
        others=tuple(others),
        not_undone=tuple(not_undone),
    )


def _processes_of(*, lab: str, started: Mapping[int, int], directories: tuple[str, ...]) -> set[int]:
    table = proc_table.snapshot()
    mark = f"{LAB_VARIABLE}={lab}".encode()
    roots = set()
    for pid, entry in table.items():
        if pid == os.getpid() or entry.state == "Z":
            continue
        if (
            started.get(pid) == entry.started_ticks
            or mark in proc_table.environment(pid)
            or any(proc_table.is_at_work_in(entry, directory) for directory in directories)
        ):
            roots.add(pid)
    tree = proc_table.descendants(table, roots)
    return {pid for pid in tree if table[pid].state != "Z" and pid != os.getpid()}


def release_postgres_memory(note: Mapping[str, Fact]) -> None:
    """Remove the System V segment that a killed Postgres left (line 7 of its postmaster.pid: key and id)."""
    try:
        lines = (Path(str(note["data"])) / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        segment = int(lines[6].split()[1])
    except (FileNotFoundError, IndexError, ValueError):
        return  # It never came up, or went down in order.
    ctypes.CDLL(None).shmctl(segment, 0, None)  # 0 is IPC_RMID; an id that is gone is an error without effect.
