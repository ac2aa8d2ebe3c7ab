"""Which driver runs: the one that was asked for, or `auto`: containers where they can be had, else processes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.drivers.containers import ContainersStack
from harness.drivers.processes import ProcessesStack, processes_problem
from harness.drivers.protocol import Stack, StackSpec
from harness.engine import engine_problem, host
from harness.errors import LabError, MissingCapability
from harness.images.images import ensure_images

Starter = Callable[[StackSpec], Stack]


@dataclass(frozen=True, slots=True)
class Choice:
    """The driver that runs, and why in words. `maker` gives what creates stacks below a directory of the run."""

    name: str
    why: str
    maker: Callable[[Path], Starter]


def choose(asked: str) -> Choice:
    """The driver for `auto`, `containers` or `processes`.

    Raises: MissingCapability when it cannot run here; LabError for any other word.
    """
    match asked:
        case "containers":
            return _demanded(Choice("containers", "asked for", _containers), problem=engine_problem())
        case "processes":
            return _demanded(Choice("processes", "asked for", _processes), problem=processes_problem())
        case "auto":
            return _automatic()
        case _:
            raise LabError(f"DRIVER={asked}: expected auto, containers or processes")


def _automatic() -> Choice:
    problem = engine_problem() or _images_problem()
    if problem is None:
        return Choice("containers", f"a Docker engine answers at {host()} and images can be had", _containers)
    return _demanded(Choice("processes", f"no containers: {problem}", _processes), problem=processes_problem())


def _images_problem() -> str | None:
    """Why no images can be had; building them now is what makes sure (long the first time, it says so)."""
    try:
        ensure_images()
    except LabError as error:
        return f"no images: {error}"
    return None


def _demanded(choice: Choice, *, problem: str | None) -> Choice:
    if problem is not None:
        raise MissingCapability(f"driver {choice.name}: {problem}")
    return choice


def _processes(directory: Path) -> Starter:
    number = itertools.count(1)
    return lambda spec: ProcessesStack(spec, directory=_made(directory / f"stack-{next(number)}"))


def _containers(directory: Path) -> Starter:
    number = itertools.count(1)
    return lambda spec: ContainersStack(spec, directory=_made(directory / f"stack-{next(number)}"))


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory
