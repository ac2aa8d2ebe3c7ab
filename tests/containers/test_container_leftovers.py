"""What a killed harness left in the engine is gone after the next start; what a living one runs is not touched."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound

from harness.clock import wait_for
from harness.drivers.container.leftovers import stacks, undo_container_leftovers
from harness.drivers.leftovers import Journal
from harness.engine import labels
from harness.lab_home import PROJECT, lab_home

pytestmark = pytest.mark.stack

PATIENCE_S = 120.0


@contextmanager
def doomed(name: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.containers.doomed", name]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as harness:
        try:
            yield harness
        finally:
            harness.kill()


def await_started(harness: subprocess.Popen[str]) -> None:
    assert harness.stdout is not None
    assert "started\n" in iter(harness.stdout.readline, "")


def found(engine: docker.DockerClient) -> tuple[str, ...]:
    return stacks(engine, home=lab_home())


def is_undone(name: str, *, engine: docker.DockerClient) -> bool:
    """Undo, as the next start does; whether nothing of the stack is left. Another lab's start may be at it too."""
    undo_container_leftovers(lab_home())
    return name not in found(engine)


@pytest.mark.parametrize("phase", ["starting", "running"])
def test_a_killed_harness_leaves_nothing_after_the_next_start(engine: docker.DockerClient, phase: str) -> None:
    name = f"lab-{secrets.token_hex(4)}"
    with doomed(name) as harness:
        if phase == "running":
            await_started(harness)
        wait_for(lambda: name in found(engine), awaiting="something of the stack", timeout_s=PATIENCE_S)
        harness.kill()
        harness.wait()
    wait_for(lambda: is_undone(name, engine=engine), awaiting="the engine to be rid of it", timeout_s=PATIENCE_S)
    assert not (lab_home() / "journal" / f"{name}.jsonl").exists()
    assert not (lab_home() / "stacks" / name).exists()


def test_a_living_harness_keeps_its_containers(engine: docker.DockerClient) -> None:
    name = f"lab-{secrets.token_hex(4)}"
    with doomed(name) as harness:
        await_started(harness)
        assert not is_undone(name, engine=engine)


def test_what_the_engine_made_after_its_stack_was_undone_is_found_by_label(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    mine, foreign = f"lab-{secrets.token_hex(4)}", f"lab-{secrets.token_hex(4)}"
    late = engine.volumes.create(f"{mine}-late", labels=labels(mine, home=tmp_path))
    other = engine.volumes.create(f"{foreign}-late", labels=labels(foreign, home=tmp_path / "elsewhere"))
    held = Journal(lab=mine, home=tmp_path)
    try:
        undo_container_leftovers(tmp_path)
        assert stacks(engine, home=tmp_path) == (mine,), "a living lab was touched"
        held.close()
        undo_container_leftovers(tmp_path)
        assert stacks(engine, home=tmp_path) == ()
        assert stacks(engine, home=tmp_path / "elsewhere") == (foreign,), "another home's lab was touched"
    finally:
        held.close()
        other.remove()
        with suppress(NotFound):
            late.remove()
