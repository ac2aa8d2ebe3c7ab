"""Python environments that services run in: the lab's own, or a second one with other versions pinned over the lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from harness.errors import DriverError, MissingCapability
from harness.lab_home import PROJECT

LOCK = PROJECT / "requirements-app.lock"
INSTALL_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment; `binaries` holds its `python`, `celery`, `gunicorn`."""

    binaries: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.binaries / "python")

    def versions(self, *names: str) -> Mapping[str, str]:
        """Versions of the distributions that are installed in it, by name in lower case."""
        folders = [str(path) for path in (self.binaries.parent / "lib").glob("python*/site-packages")]
        found = {name: next(iter(distributions(name=name, path=folders)), None) for name in names}
        return {name: each.version for name, each in found.items() if each is not None}


def own_environment() -> Environment:
    """The one that the harness runs in: requirements-lab.lock holds all of requirements-app.lock."""
    return Environment(binaries=Path(sys.executable).parent)


def pinned_environment(pins: tuple[str, ...], *, home: Path) -> Environment:
    """The locked requirements with `pins` over them, in `home/venvs`; made by uv on first use, then kept.

    Raises: MissingCapability without uv; DriverError with uv's words when it cannot be installed.
    """
    key = hashlib.sha256(f"{sys.version}{LOCK.read_text(encoding='utf-8')}{sorted(pins)}".encode()).hexdigest()[:12]
    folder = home / "venvs" / key
    made = folder / "made"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            python = str(folder / "bin" / "python")
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", python, "-r", str(LOCK))
            _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", python, *pins)
            made.write_text("\n".join(pins) + "\n", encoding="utf-8")
    return Environment(binaries=folder / "bin")


def _uv(*arguments: str) -> None:
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise MissingCapability("pinned versions need uv: `pip install uv`")
    done = subprocess.run(
        [uv, *arguments], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, env=dict(os.environ), check=False
    )
    if done.returncode != 0:
        raise DriverError(f"uv {' '.join(arguments)} exited {done.returncode}:\n{done.stderr[-2000:]}")
