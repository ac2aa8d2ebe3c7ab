"""Where the lab keeps its working state, and as whom Postgres runs there.

Postgres refuses to run as root. When the harness is root it runs as `nobody`, which owns no files and runs nothing that
matters; everything on the way to its binaries and its data must then be open to others, else a copy in the system's
temporary directory is used. What the lab makes on that way it opens itself, whatever the umask.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import DriverError

PROJECT = Path(__file__).resolve().parents[1]
EVERYBODY_READS: Final = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH
EVERYBODY_RUNS: Final = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


def lab_home() -> Path:
    """`.lab` in the project: virtual environments, templates, journals. Ignored by git; may be deleted at any time."""
    home = PROJECT / ".lab"
    home.mkdir(exist_ok=True)
    return home


@dataclass(frozen=True, slots=True)
class StoreHome:
    """Where Postgres' binaries, templates and data live; `user` is whom it runs as, None for the harness's own."""

    directory: Path
    user: int | None

    def give(self, path: Path) -> None:
        """Make one file or empty directory the property of the user that Postgres runs as."""
        if self.user is not None:
            os.chown(path, self.user, -1)

    def make_way(self, path: Path) -> None:
        """Make the directory `path` below this home, which the user that Postgres runs as may walk into."""
        path.mkdir(parents=True, exist_ok=True)
        if self.user is not None:
            for folder in (path, *path.parents):
                if folder == self.directory:
                    break
                folder.chmod(folder.stat().st_mode | stat.S_IXOTH)


def store_home(home: Path) -> StoreHome:
    """`home` itself, or its stand-in below the temporary directory when root's Postgres could not get there."""
    if os.geteuid() != 0:
        return StoreHome(directory=home, user=None)
    user = pwd.getpwnam("nobody").pw_uid
    if is_open_to_others(home):
        return StoreHome(directory=home, user=user)
    mark = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    stand_in = Path(tempfile.gettempdir()) / f"chaos-lab-{mark}"
    stand_in.mkdir(mode=0o755, exist_ok=True)
    status = stand_in.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != 0:
        raise DriverError(f"{stand_in} belongs to somebody else: remove it")
    stand_in.chmod(0o755)
    return StoreHome(directory=stand_in, user=user)


def is_open_to_others(path: Path) -> bool:
    """Whether any account may walk down to `path` and into it."""
    resolved = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (resolved, *resolved.parents))


def make_readable(path: Path) -> None:
    """Let every account read this file, or all below this directory, and run what its owner may run."""
    for each in (path, *path.rglob("*")):
        if not each.is_symlink():
            mode = each.stat().st_mode
            run = EVERYBODY_RUNS if mode & stat.S_IXUSR else 0
            each.chmod(mode | EVERYBODY_READS | run)
