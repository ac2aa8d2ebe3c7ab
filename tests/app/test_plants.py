"""Planted defects replace what the app has: a plant whose target was renamed would plant nothing, and be missed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from harness.drivers.service_health import HEALTH_COMMANDS
from tests.app.environment import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]


def test_every_plant_replaces_something_that_is_there_and_takes_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.app.plants_held"],
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT / "app"), "COMPASS_DB_USER": "legacy"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["problems"] == []
    assert said["held"] >= len(list((ROOT / "scenarios" / "defects" / "overlay" / "plants").glob("[a-z]*.py")))


def test_no_plant_changes_a_module_that_is_only_executed() -> None:
    """`python -m` executes a module of its own as `__main__`, which no plant ever sees."""
    executed = {name for command in HEALTH_COMMANDS.values() for name in command if name.startswith("backend.")}
    planted = {
        module
        for path in (ROOT / "scenarios" / "defects" / "overlay" / "plants").glob("[a-z]*.py")
        for module in re.findall(r'^PATCHES = \{"([\w.]+)"', path.read_text(), re.MULTILINE)
    }
    assert executed
    assert not planted & executed
