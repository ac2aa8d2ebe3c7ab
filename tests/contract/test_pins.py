"""Version pins on every driver that works here: the pinned service runs on them, the others on what is locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.drivers.protocol import StackSpec, State
from tests.contract.conftest import DRIVERS

pytestmark = pytest.mark.stack

PINNED = "4.2.2"
SPEC = StackSpec(replicas={"api": 1, "worker": 1}, pins={"worker": (f"billiard=={PINNED}",)})


@pytest.mark.parametrize(
    "driver", [pytest.param(name, marks=pytest.mark.needs(need)) for name, (need, _) in DRIVERS.items()]
)
def test_a_pinned_service_runs_on_its_pins_and_no_other_does(driver: str, tmp_path: Path) -> None:
    _, make = DRIVERS[driver]
    stack = make(SPEC, tmp_path)
    try:
        stack.start()
        versions = stack.versions()
        assert versions["billiard (worker)"] == PINNED
        assert versions["billiard"] not in ("", PINNED)
        assert versions["celery (worker)"] == versions["celery"]
        assert {name: stack.state(name) for name in stack.replicas()} == {
            "api-1": State.HEALTHY,
            "worker-1": State.HEALTHY,
        }
    finally:
        stack.down()
