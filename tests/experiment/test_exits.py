"""A replica that is down was told to be only while a fault that ends it lasts; a heal hides no other end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clock import utc_now
from harness.drivers.protocol import Exit, Process, Stack, State
from harness.evidence.evidence import ReplicaExit
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Harm
from harness.faults.config import ChangeEnv
from harness.faults.fault import Fault
from harness.faults.memory import RunOutOfMemory
from harness.faults.process import FreezeReplica, KillChild, KillReplica, StopReplica

WORKER = "worker-1"
CODE = 137


class OneWorker:
    """A stack with one worker, which is down until it is started."""

    def __init__(self) -> None:
        self.is_up = False

    def replicas(self) -> tuple[str, ...]:
        return (WORKER,)

    def processes(self, name: str) -> tuple[Process, ...]:
        return (Process(1, 0, "S", "it", 77),) if self.is_up else ()

    def exit_of(self, name: str, *, timeout_s: float = 0.0) -> Exit | None:
        return None if self.is_up else Exit(code=CODE, took_s=0.1, killed=False)

    def state(self, name: str) -> State:
        return State.HEALTHY if self.is_up else State.DOWN

    def start_replica(self, name: str, *, fresh: bool = False) -> None:
        self.is_up = True

    def environment(self, name: str) -> dict[str, str]:
        return {"A": "0"}

    def restore_env(self, service: str) -> None:
        """Nothing was changed."""

    def thaw(self, name: str) -> None:
        """Nothing stands still."""

    def oom_kills(self, name: str) -> int:
        return 1


def harmed(fault: Fault) -> tuple[OneWorker, Any]:
    """As much of an experiment as notes exits, with this fault in it and its worker down."""
    worker = OneWorker()
    stack = cast(Stack, worker)
    harm = Harm(stack=stack, say=lambda _: None)
    harm.adopt(fault, before="", since=utc_now())
    return worker, SimpleNamespace(stack=stack, harm=harm, exits=[])


@pytest.mark.parametrize(
    ("fault", "is_told"),
    [
        pytest.param(KillReplica(WORKER), True, id="killed"),
        pytest.param(StopReplica(WORKER, timeout_s=5.0), True, id="stopped"),
        pytest.param(RunOutOfMemory(WORKER), True, id="out of memory"),
        pytest.param(KillReplica("worker-2"), False, id="another was killed"),
        pytest.param(KillChild(WORKER, pid=7), False, id="only its child was killed"),
        pytest.param(RunOutOfMemory(WORKER, pid=7), False, id="only its child ran out of memory"),
        pytest.param(FreezeReplica(WORKER), False, id="frozen"),
        pytest.param(ChangeEnv(WORKER, {"A": "1"}), False, id="started with another environment"),
    ],
)
def test_only_a_fault_that_ends_replicas_told_one_to_end(fault: Fault, *, is_told: bool) -> None:
    _, x = harmed(fault)
    Experiment.note_exits(x)
    Experiment.note_exits(x)
    assert x.exits == [ReplicaExit(replica=WORKER, code=CODE, is_told=is_told)]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(KillChild(WORKER, pid=7), id="child killed"),
        pytest.param(RunOutOfMemory(WORKER, pid=7), id="child out of memory"),
    ],
)
def test_a_main_process_that_ended_with_its_child_is_not_started_by_the_heal(fault: Fault) -> None:
    worker, x = harmed(fault)
    x.harm.heal_all()
    assert not worker.is_up
    Experiment.note_exits(x)
    assert [each.is_told for each in x.exits] == [False]


def test_who_ends_again_after_the_heal_was_not_told_to() -> None:
    worker, x = harmed(KillReplica(WORKER))
    Experiment.note_exits(x)
    x.harm.heal_all()
    assert worker.is_up
    worker.is_up = False
    Experiment.note_exits(x)
    assert [each.is_told for each in x.exits] == [True, False]
