"""What is killed by hand becomes a fault with a receipt, once; what the lab killed, or what crashed, does not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from harness.drivers.protocol import Exit, Process, Stack, State
from harness.experiment.harm import Harm
from harness.faults.process import KillReplica
from harness.play.kill_watch import KillWatch
from harness.receipt import doubts_about

KILLED, CRASHED = Exit(code=137, took_s=0.0, killed=False), Exit(code=1, took_s=0.0, killed=False)


@dataclass
class Double:
    """A stack of two workers and two stores, of which some have ended."""

    ended: dict[str, Exit] = field(default_factory=dict)

    def replicas(self) -> tuple[str, ...]:
        return ("worker-1", "worker-2")

    def processes(self, name: str) -> tuple[Process, ...]:
        return () if name in self.ended else (Process(1, 0, "S", "it", 77),)

    def exit_of(self, name: str) -> Exit | None:
        return self.ended.get(name)

    def state(self, name: str) -> State:
        return State.DOWN if name in self.ended else State.HEALTHY

    def start_replica(self, name: str, *, fresh: bool = False) -> None:
        del self.ended[name]

    def kill_replica(self, name: str) -> None:
        self.ended[name] = KILLED


@pytest.fixture
def said() -> list[str]:
    return []


def test_what_a_person_killed_has_a_receipt_and_is_healed(said: list[str]) -> None:
    double = Double()
    harm = Harm(stack=cast(Stack, double), say=said.append)
    watch = KillWatch(cast(Stack, double), harm)
    watch.look()
    double.ended = {"worker-2": KILLED, "redis": KILLED}
    watch.look()
    watch.look()
    assert [each.label() for each in harm.injected()] == ["kill_worker(worker-2)", "kill_redis(redis)"]
    harm.heal_all()
    assert double.ended == {}
    assert [doubts_about(each) for each in harm.injected()] == [(), ()]
    assert len([text for text in said if "by somebody else's hand" in text]) == 2


def test_a_crash_is_not_taken_for_a_kill(said: list[str]) -> None:
    double = Double()
    harm = Harm(stack=cast(Stack, double), say=said.append)
    watch = KillWatch(cast(Stack, double), harm)
    watch.look()
    double.ended = {"worker-2": CRASHED}
    watch.look()
    assert harm.injected() == ()


def test_what_the_lab_killed_is_not_noted_twice_and_the_next_kill_is(said: list[str]) -> None:
    double = Double()
    harm = Harm(stack=cast(Stack, double), say=said.append)
    watch = KillWatch(cast(Stack, double), harm)
    watch.look()
    harm.inject(KillReplica("worker-1"))
    watch.look()
    assert len(harm.injected()) == 1
    harm.heal_all()
    watch.look()
    double.ended = {"worker-1": KILLED}
    watch.look()
    assert len(harm.injected()) == 2
