"""A changed environment bites when another incarnation was really started with the change, not when one was started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from harness.drivers.protocol import Exit, Process, Stack
from harness.faults.config import ChangeEnv

WORKER = "worker-1"
CHANGES = {"QUEUES": "high", "COMPASS": None}
SECRET = "do-not-show"


@dataclass
class OneWorker:
    """As much of a stack as a reading asks for."""

    env: dict[str, str] = field(default_factory=lambda: {"QUEUES": SECRET, "COMPASS": SECRET})
    started_ticks: int = 1
    is_up: bool = True

    def processes(self, _name: str) -> tuple[Process, ...]:
        return (Process(7, 1, "S", "it", self.started_ticks),) if self.is_up else ()

    def exit_of(self, _name: str) -> Exit | None:
        return None if self.is_up else Exit(code=78, took_s=0.0, killed=False)

    def environment(self, _name: str) -> dict[str, str]:
        return self.env


@pytest.mark.parametrize(
    ("env", "started_ticks", "is_up", "is_bitten"),
    [
        pytest.param({"QUEUES": "high"}, 2, True, True, id="started with the change"),
        pytest.param({"QUEUES": "high"}, 2, False, True, id="started with it, and has ended"),
        pytest.param({"QUEUES": SECRET, "COMPASS": SECRET}, 2, True, False, id="another incarnation, nothing changed"),
        pytest.param({"QUEUES": "high", "COMPASS": SECRET}, 2, True, False, id="one of two changed"),
        pytest.param({"QUEUES": "high"}, 1, True, False, id="the same incarnation"),
    ],
)
def test_bite(env: dict[str, str], started_ticks: int, *, is_up: bool, is_bitten: bool) -> None:
    fault = ChangeEnv(WORKER, CHANGES)
    before = fault.look(cast(Stack, OneWorker()))
    now = fault.look(cast(Stack, OneWorker(env=env, started_ticks=started_ticks, is_up=is_up)))
    assert fault.has_bitten(before=before, now=now) is is_bitten


def test_what_was_so_before_is_no_change() -> None:
    fault = ChangeEnv(WORKER, CHANGES)
    before = fault.look(cast(Stack, OneWorker(env={"QUEUES": "high"})))
    now = fault.look(cast(Stack, OneWorker(env={"QUEUES": "high"}, started_ticks=2)))
    assert not fault.has_bitten(before=before, now=now)


def test_an_environment_that_was_not_seen_shows_no_removal() -> None:
    fault = ChangeEnv(WORKER, {"COMPASS": None})
    before = fault.look(cast(Stack, OneWorker()))
    now = fault.look(cast(Stack, OneWorker(env={}, started_ticks=2, is_up=False)))
    assert not fault.has_bitten(before=before, now=now)


def test_values_that_are_not_told_stay_unseen() -> None:
    assert SECRET not in ChangeEnv(WORKER, CHANGES).look(cast(Stack, OneWorker()))
