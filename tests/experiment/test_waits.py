"""What rows wait for, and for how long at most."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clock import Timeout, seconds
from harness.demands import demands
from harness.demands.giving_up import given_up_within_s
from harness.devices.runner import Fleet
from harness.errors import Inconclusive
from harness.experiment.experiment import Experiment
from harness.times import LAB

QUIET_S = 7.0


@dataclass
class Phones(Fleet):
    """Those that are done when asked, or never; they know how long they were waited for."""

    are_done: bool
    waited_s: list[float] = field(default_factory=list)

    def join(self, *, timeout_s: Timeout) -> bool:
        self.waited_s.append(seconds(timeout_s))
        return self.are_done


def experiment(fleet: object) -> Experiment:
    """As much of one as waits for phones."""
    return cast(Experiment, SimpleNamespace(fleet=fleet, quiesce_deadline_s=lambda: QUIET_S, times=LAB))


@pytest.mark.parametrize(
    ("within_s", "expected_s"), [(None, QUIET_S), (lambda: 3.0, 3.0)], ids=["by default", "as told"]
)
def test_phones_are_waited_for_until_they_are_done(within_s: Timeout | None, expected_s: float) -> None:
    phones = Phones(are_done=True)
    assert Experiment.join_phones(experiment(phones), within_s=within_s) is phones
    assert phones.waited_s == [expected_s]


def test_what_needs_phones_that_are_done_shows_nothing_when_they_are_not() -> None:
    with pytest.raises(Inconclusive, match="still at it"):
        Experiment.join_phones(experiment(Phones(are_done=False)))


def test_nor_when_they_are_not_the_labs_own() -> None:
    with pytest.raises(Inconclusive, match="the lab's own"):
        Experiment.join_phones(experiment(object()))


def test_a_chunk_may_be_tried_for_as_long_as_its_retries_last() -> None:
    x = experiment(object())
    x.times = replace(LAB, chunk_retry_delays_s=(1.0, 2.0, 4.0), sweep_interval_s=0.5)
    assert given_up_within_s(x) == 7.0 + 1.5 + QUIET_S


@pytest.mark.parametrize(("bites", "happens"), [(True, False), (False, True), (True, True)])
def test_what_is_held_up_has_not_happened(monkeypatch: pytest.MonkeyPatch, bites: bool, happens: bool) -> None:
    monkeypatch.setattr(demands, "await_state", lambda _x, probe, *, awaiting: probe() or pytest.fail(awaiting))
    awaited: list[Any] = []
    fault = SimpleNamespace(look=lambda _stack: "now", has_bitten=lambda *, before, now: bites)
    x = cast(Experiment, SimpleNamespace(stack=None, await_bite=awaited.append))
    live: Any = SimpleNamespace(fault=fault, before="before")
    is_held = demands.is_held_up(x, live, lambda: happens, awaiting="it")
    assert is_held is (bites and not happens)
    assert awaited == ([live] if is_held else [])
