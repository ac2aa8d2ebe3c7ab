"""Where the playground keeps what commands need to find it again: one at a time, under `.lab/play`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from harness.clock import wait_for
from harness.drivers.proc_table import read_entry
from harness.errors import LabError, WaitTimeout
from harness.lab_home import lab_home

PLACE_FILE = "place.json"
LOCK_FILE = "keeper.lock"
LOG_FILE = "keeper.log"
CLAIM_TIMEOUT_S = 1.0
"""Long enough for somebody who only looks whether the place is taken."""
UNDER_WAY = (
    "a stack is being started or ended just now; try again when that is done (Ctrl-C at the `lab up` that starts it "
    "ends it)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A keeper: its process (pid and start time, so that another of the same pid is not taken for it), its socket."""

    pid: int
    started_ticks: int
    socket: str
    log: str

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        entry = read_entry(self.pid)
        return entry is not None and entry.started_ticks == self.started_ticks and entry.state != "Z"


def play_home() -> Path:
    """`.lab/play`, made if need be."""
    home = lab_home() / "play"
    home.mkdir(exist_ok=True)
    return home


def claim() -> TextIO:
    """The lock that one keeper holds for as long as it lives; to be given to it, and closed then.

    Raises: LabError when there is a keeper already, be it on its way up or down.
    """
    lock = (play_home() / LOCK_FILE).open("w", encoding="utf-8")
    try:
        wait_for(
            lambda: _is_locked(lock, fcntl.LOCK_EX),
            awaiting="the place to be free",
            timeout_s=CLAIM_TIMEOUT_S,
        )
    except WaitTimeout:
        lock.close()
        raise LabError(UNDER_WAY) from None
    return lock


def is_claimed() -> bool:
    """Whether a keeper lives, though it may not listen yet, or no longer."""
    with (play_home() / LOCK_FILE).open("w", encoding="utf-8") as lock:
        return not _is_locked(lock, fcntl.LOCK_SH)


def _is_locked(lock: TextIO, kind: int) -> bool:
    """Whether this file holds the lock now."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def settle(socket: Path) -> Place:
    """Called by the keeper when it listens: from now on commands find it. Returns what was noted."""
    entry = read_entry(os.getpid())
    if entry is None:
        raise LabError("expected to find this very process in the process table")
    place = Place(os.getpid(), entry.started_ticks, str(socket), str(play_home() / LOG_FILE))
    path = play_home() / PLACE_FILE
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(place)))
    fresh.replace(path)
    return place


def find() -> Place | None:
    """The keeper that runs, or None; what a dead one left here is removed."""
    path = play_home() / PLACE_FILE
    if not path.is_file():
        return None
    place = Place(**json.loads(path.read_text()))
    if place.is_alive:
        return place
    leave(Path(place.socket))
    return None


def require() -> Place:
    """The keeper that runs. Raises: LabError when none does."""
    place = find()
    if place is None:
        raise LabError(UNDER_WAY if is_claimed() else "no stack is up to play with; `lab up` starts one")
    return place


def new_socket() -> Path:
    """A path for the socket that only this user may reach; short, since such paths must be."""
    return Path(tempfile.mkdtemp(prefix="chaoslab-")) / "keeper.sock"


def leave(socket: Path) -> None:
    """Forget the keeper. Idempotent."""
    (play_home() / PLACE_FILE).unlink(missing_ok=True)
    shutil.rmtree(socket.parent, ignore_errors=True)
