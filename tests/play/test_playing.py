"""Playing, from `up` to `down`, on a real stack of local processes: the commands as a person types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lab_home import PROJECT
from harness.play import place
from harness.report.record import read

TIMEOUT_S = 240


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *words],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture
def table() -> Iterator[None]:
    """A playground that is free, and is left so. One that somebody uses is not taken away."""
    if place.find() is not None:
        pytest.fail("a stack is up to play with; `lab down` ends it, then this test can run")
    yield
    lab("down")


@pytest.mark.stack
@pytest.mark.needs("processes")
@pytest.mark.timeout(TIMEOUT_S)
def test_up_break_heal_verify_down(table: None) -> None:
    up = lab("up", "--driver", "processes", "--phones", "2", "--samples", "300", "--pace", "0.05")
    assert up.returncode == 0, up.stdout + up.stderr
    kept = place.find()
    assert kept is not None

    broken = lab("inject", "kill", "--service", "worker-2")
    assert broken.returncode == 0, broken.stdout + broken.stderr
    assert "it lasts until `lab heal`" in broken.stdout
    seen = json.loads(lab("status", "--json").stdout)
    assert seen["services"]["worker-2"] == {"state": "down", "processes": 0}
    assert seen["services"]["worker-1"]["state"] == "healthy"
    assert seen["faults"] == [{"fault": "kill_worker(worker-2)", "is_healed": False}]

    assert "healed: kill_worker(worker-2)\n" in lab("heal").stdout
    assert "healed: nothing was on\n" in lab("heal").stdout
    seen = json.loads(lab("status", "--json").stdout)
    assert seen["services"]["worker-2"]["state"] == "healthy"

    verified = lab("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    page = Path(next(line for line in verified.stdout.splitlines() if line.startswith("report: ")).split(" ", 1)[1])
    [scenario] = read(page.parent).scenarios
    assert (scenario.id, scenario.verdict) == ("PLAY", "VALID")
    assert scenario.counts["acknowledged"] > 0
    assert [fault.name for fault in scenario.faults] == ["kill_worker"]

    assert "has its verdict" in lab("inject", "kill").stderr
    again = lab("up", "--driver", "containers", "--seed", "5", "--phones", "0")
    assert (
        "the stack was up, on processes; 0 phones begin, with seed 5\n--driver containers changes nothing"
        in again.stdout
    )
    down = lab("down")
    assert (down.returncode, place.find()) == (0, None), down.stdout + down.stderr
    assert not kept.is_alive
    assert "no stack is up" in lab("status").stderr
