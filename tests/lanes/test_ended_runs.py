"""A run that is killed in any phase is undone by the next start; one that is interrupted undoes everything itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from harness.clock import wait_for
from harness.drivers import proc_table
from harness.drivers.container.leftovers import stacks, undo_container_leftovers
from harness.drivers.leftovers import LAB_VARIABLE, journal_path
from harness.lab_home import PROJECT, lab_home
from harness.verdict import ExitCode

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

LAB = str(Path(sys.executable).with_name("lab"))
PATIENCE_S = 120.0
PHASES = [("CONTROL", "start"), ("CONTROL", "work"), ("CONTROL", "quiesce"), ("CONTROL", "check"), ("W6", "hold")]
DRIVERS = [
    pytest.param("processes", marks=pytest.mark.needs("processes")),
    pytest.param("containers", marks=pytest.mark.needs("engine")),
]


@contextmanager
def run(driver: str) -> Iterator[subprocess.Popen[str]]:
    """Small phones, one row beside the control."""
    command = [LAB, "chaos", "--driver", driver, "--small", "--ids", "W6"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as lab:
        try:
            yield lab
        finally:
            lab.kill()


def await_phase(lab: subprocess.Popen[str], scenario: str, phase: str) -> None:
    assert lab.stdout is not None
    said = []
    for line in lab.stdout:
        said.append(line)
        if re.match(rf"\s+{scenario}\s+[\d.]+ s  {phase}\b", line):
            return
    raise AssertionError("it never came so far:\n" + "".join(said))


def labs_of(lab: subprocess.Popen[str]) -> set[str]:
    """The stacks whose journals the run's processes hold."""
    held: set[str] = set()
    for pid in proc_table.descendants(proc_table.snapshot(), {lab.pid}):
        try:
            files = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue  # It has just ended.
        held.update(Path(file).stem for file in files if file.startswith(str(lab_home() / "journal")))
    return held


def left_of(labs: set[str], *, driver: str) -> list[str]:
    """Journals, processes and what is in the engine of these labs."""
    marks = {f"{LAB_VARIABLE}={name}".encode() for name in labs}
    left = [name for name in labs if journal_path(lab_home(), name).exists()]
    left += [str(pid) for pid in proc_table.snapshot() if marks & set(proc_table.environment(pid))]
    if driver == "containers":
        left += labs.intersection(stacks(docker.from_env(), home=lab_home()))
    return left


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(("scenario", "phase"), PHASES, ids=[phase for _, phase in PHASES])
def test_a_run_killed_in_any_phase_is_undone_by_the_next_start(driver: str, scenario: str, phase: str) -> None:
    with run(driver) as lab:
        await_phase(lab, scenario, phase)
        labs = wait_for(lambda: labs_of(lab), awaiting="the stack's journal", timeout_s=PATIENCE_S)
        lab.send_signal(signal.SIGKILL)
        lab.wait()
    assert left_of(labs, driver=driver), "nothing was running, so nothing is shown"

    def is_gone() -> bool:
        undo_container_leftovers(lab_home())
        return not left_of(labs, driver=driver)

    wait_for(
        is_gone,
        awaiting="everything to be undone",
        timeout_s=PATIENCE_S,
        seen=lambda: str(left_of(labs, driver=driver)),
    )


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_interrupted_run_undoes_everything_itself(driver: str) -> None:
    with run(driver) as lab:
        await_phase(lab, "W6", "hold")
        labs = labs_of(lab)
        assert labs
        lab.send_signal(signal.SIGINT)
        assert lab.stdout is not None
        said = lab.stdout.read()
        assert lab.wait() == ExitCode.LAB_FAILED
    assert "interrupted; everything was undone" in said
    assert said.splitlines()[-1].startswith("LAB FAILED")
    assert left_of(labs, driver=driver) == []
