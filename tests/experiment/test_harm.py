"""Harm: its first reading is of a target that answers; every undoing is tried; whether a stack is as new afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from harness.clock import utc_now
from harness.drivers.protocol import Process, Stack
from harness.errors import HealFailed, Inconclusive
from harness.experiment import harm as harm_module
from harness.experiment.harm import Harm
from harness.faults.config import ChangeEnv
from harness.faults.fault import Fault
from harness.faults.process import FreezeReplica, KillChild, KillReplica, StopReplica


class Double:
    """A stack in which everything runs."""

    def processes(self, name: str) -> tuple[Process, ...]:
        return (Process(1, 0, "S", "it", 77),)

    def environment(self, name: str) -> dict[str, str]:
        return {"A": "0"}


KILLED = KillReplica("worker-1")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        pytest.param((), True, id="nothing was harmed"),
        pytest.param((KILLED, StopReplica("api-1", timeout_s=5.0)), True, id="services started anew"),
        pytest.param((ChangeEnv("beat-1", {"A": "1"}),), True, id="started anew with its old environment"),
        pytest.param((KillReplica("redis"),), False, id="a store was killed"),
        pytest.param((FreezeReplica("worker-1"),), False, id="a frozen worker lives on"),
        pytest.param((KillChild("worker-1", pid=1),), False, id="the main process of a killed child lives on"),
        pytest.param((KILLED, FreezeReplica("worker-2")), False, id="one of two lives on"),
    ],
)
def test_a_stack_is_as_new_when_all_that_was_harmed_was_started_anew(faults: tuple[Fault, ...], expected: bool) -> None:
    harm = Harm(stack=cast(Stack, Double()), say=lambda _: None)
    for fault in faults:
        harm.adopt(fault, before="", since=utc_now())
    assert harm.leaves_as_new() is expected


def fine() -> None: ...


@dataclass
class FaultDouble:
    """Bites at once and heals at once, unless it is told to fail."""

    target: str
    name: str = "break"
    source: str = "itself"
    bite_timeout_s: float = 0.2
    on_look: Callable[[], None] = fine
    on_heal: Callable[[], None] = fine
    is_broken: bool = False

    def look(self, stack: Stack) -> str:
        if self.is_broken:
            self.on_look()
        return "broken" if self.is_broken else "whole"

    def inject(self, stack: Stack) -> None:
        self.is_broken = True

    def has_bitten(self, *, before: str, now: str) -> bool:
        return before != now

    def heal(self, stack: Stack) -> None:
        self.on_heal()
        self.is_broken = False

    def is_whole(self, stack: Stack) -> bool:
        return not self.is_broken


class Failing:
    """Raises what is not the lab's, so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> None:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionResetError("it hung up")


def harm() -> Harm:
    return Harm(stack=cast(Stack, Double()), say=lambda _: None)


def test_every_fault_is_undone_whatever_the_undoing_of_another_raises() -> None:
    several = harm()
    first, second = FaultDouble("worker-1"), FaultDouble("redis", on_heal=Failing(times=1))
    several.inject(first)
    several.inject(second)
    with pytest.raises(HealFailed, match=r"could not be undone: ConnectionResetError.*it hung up"):
        several.heal_all()
    assert (first.is_broken, second.is_broken) == (False, True)


def test_stores_are_undone_before_services_and_else_the_last_first() -> None:
    order: list[str] = []
    several = harm()
    for target in ("redis", "worker-1", "postgres", "api-1"):
        several.inject(FaultDouble(target, on_heal=lambda target=target: order.append(target)))  # type: ignore[misc]
    several.heal_all()
    assert order == ["postgres", "redis", "api-1", "worker-1"]


def test_an_answer_that_does_not_come_at_first_is_waited_for() -> None:
    several = harm()
    live = several.inject(FaultDouble("redis", on_look=Failing(times=2), bite_timeout_s=60.0))
    assert live.injected.receipt is not None
    assert live.injected.receipt.after == "broken"


def test_an_answer_that_never_comes_is_told() -> None:
    with pytest.raises(Inconclusive, match=r"seen last:\nno answer: ConnectionResetError.*it hung up"):
        harm().inject(FaultDouble("redis", on_look=Failing(times=10**9)))


def test_an_error_of_a_look_at_what_is_to_be_whole_counts_as_not_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    fault, trouble = FaultDouble("redis"), Failing(times=2)

    def is_whole(self: FaultDouble, stack: Stack) -> bool:
        trouble()
        return not self.is_broken

    monkeypatch.setattr(FaultDouble, "is_whole", is_whole)
    several = harm()
    several.inject(fault)
    several.heal_all()
    assert not several.unhealed()
    assert trouble.left < 0


@dataclass
class Asked:
    """A fault whose target is asked; the readings are given."""

    readings: Iterator[str]
    name: str = "kill_it"
    target: str = "it"
    source: str = "the test"
    bite_timeout_s: float = 0.0

    def look(self, stack: Stack) -> str:
        return next(self.readings)

    def is_well(self, reading: str) -> bool:
        return reading == "answers"

    def inject(self, stack: Stack) -> None:
        """Nothing to do: the readings are given."""

    def has_bitten(self, *, before: str, now: str) -> bool:
        return self.is_well(before) and not self.is_well(now)

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        return True


def test_an_answer_that_came_late_once_is_asked_for_again() -> None:
    live = harm().inject(Asked(iter(["no answer", "no answer", "answers", "no answer"])))
    assert live.before == "answers"
    assert live.injected.bitten_at is not None


def test_a_target_that_never_answers_is_not_harmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harm_module, "ANSWER_TIMEOUT_S", 0.0)
    spared = harm()
    with pytest.raises(Inconclusive, match="an answer of it"):
        spared.inject(Asked(iter(["no answer"])))
    assert spared.injected() == ()
