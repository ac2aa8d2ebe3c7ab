"""The pool of stacks: what is prepared starts once, what was touched is ended, and nothing is left after `close`."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import cast

import pytest

from harness.clock import wait_for
from harness.drivers import pool as pool_module
from harness.drivers.pool import Pool
from harness.drivers.protocol import Stack, StackSpec
from harness.errors import DriverError, LabError

PATIENCE_S = 10.0
ONE, OTHER = StackSpec(env={"A": "1"}), StackSpec(env={"A": "2"})


@dataclass
class Double:
    """A stack that notes what is done to it; `start` waits for `gate`."""

    spec: StackSpec
    gate: threading.Event
    fails: bool = False
    events: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.gate.wait(60)
        self.events.append("started")
        if self.fails:
            raise DriverError("it does not start")

    def down(self) -> None:
        self.events.append("ended")


@dataclass
class Workshop:
    """Makes doubles, and keeps them."""

    gate: threading.Event = field(default_factory=threading.Event)
    fails: bool = False
    made: list[Double] = field(default_factory=list)

    def make(self, spec: StackSpec) -> Stack:
        self.made.append(Double(spec, gate=self.gate, fails=self.fails))
        return cast(Stack, self.made[-1])

    def events(self) -> list[list[str]]:
        return [each.events for each in self.made]


def test_a_prepared_stack_is_the_one_that_is_taken() -> None:
    workshop = Workshop()
    pool = Pool(make=workshop.make)
    pool.prepare(ONE)
    pool.prepare(ONE)
    assert workshop.events() == [[]]
    workshop.gate.set()
    taken = pool.take(ONE)
    assert (taken.spec, workshop.events()) == (ONE, [["started"]])
    pool.give_back(taken, is_touched=True)
    pool.close()
    assert workshop.events() == [["started", "ended"]]


def test_what_was_prepared_in_vain_is_ended_after_its_start() -> None:
    workshop = Workshop()
    pool = Pool(make=workshop.make)
    pool.prepare(ONE)
    threading.Timer(0.2, workshop.gate.set).start()
    pool.close()
    assert workshop.events() == [["started", "ended"]]


def test_a_start_that_failed_is_told_to_who_takes_and_ended() -> None:
    workshop = Workshop(fails=True)
    workshop.gate.set()
    pool = Pool(make=workshop.make)
    pool.prepare(ONE)
    with pytest.raises(DriverError, match="it does not start"):
        pool.take(ONE)
    pool.close()
    assert workshop.events() == [["started", "ended"]]


@pytest.mark.parametrize("is_prepared", [True, False], ids=["prepared", "made when asked for"])
def test_a_stack_that_does_not_start_is_ended_at_once(is_prepared: bool) -> None:
    workshop = Workshop(fails=True)
    workshop.gate.set()
    pool = Pool(make=workshop.make)
    if is_prepared:
        pool.prepare(ONE)
    with pytest.raises(DriverError, match="it does not start"):
        pool.take(ONE)
    wait_for(
        lambda: workshop.events() == [["started", "ended"]],
        awaiting="its end, before the pool is closed",
        timeout_s=PATIENCE_S,
        seen=lambda: str(workshop.events()),
    )
    pool.close()
    assert workshop.events() == [["started", "ended"]]


def test_a_stack_that_cannot_be_reset_makes_room_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(stack: Stack) -> None:
        raise LabError(f"{stack} could not be reset")

    monkeypatch.setattr(pool_module, "reset", refuse)
    workshop = Workshop()
    workshop.gate.set()
    pool = Pool(make=workshop.make)
    first = pool.take(ONE)
    pool.give_back(first, is_touched=False)
    second = pool.take(ONE)
    assert second is not first
    pool.close()
    assert workshop.events() == [["started", "ended"], ["started", "ended"]]


def test_an_idle_stack_of_another_spec_makes_room() -> None:
    workshop = Workshop()
    workshop.gate.set()
    pool = Pool(make=workshop.make)
    pool.give_back(pool.take(ONE), is_touched=False)
    pool.take(OTHER)
    pool.close()
    assert workshop.events() == [["started", "ended"], ["started", "ended"]]


def test_the_first_error_of_an_end_is_raised_when_all_were_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    workshop = Workshop()
    workshop.gate.set()
    pool = Pool(make=workshop.make)
    first, second = pool.take(ONE), pool.take(OTHER)

    def refuse() -> None:
        raise DriverError("it does not end")

    monkeypatch.setattr(first, "down", refuse)
    pool.give_back(first, is_touched=True)
    with pytest.raises(DriverError, match="it does not end"):
        pool.close()
    assert cast(Double, second).events == ["started", "ended"]
