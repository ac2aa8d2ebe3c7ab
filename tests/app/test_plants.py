"""Planted defects replace what the app has: a plant whose target was renamed would plant nothing, and be missed."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
