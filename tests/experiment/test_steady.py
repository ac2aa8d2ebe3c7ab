"""The steady state: an alarm that goes away within the allowance is none, one that stays is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import cast

import pytest

from harness.anomaly import Kind
from harness.drivers.protocol import Stack, State
from harness.experiment import steady
from harness.times import LAB, MOST_CROWDING, Pace, crowding_of

AT_ONCE = replace(LAB, overdue_s=0.0, sweep_interval_s=0.0, beat_lease_s=0.0)
MISSED = [("api-1", "ticks_missed")]


class Healthy:
    """A stack whose replicas are all well."""

    def replicas(self) -> tuple[str, ...]:
        return ("api-1",)

    def state(self, name: str) -> State:
        return State.HEALTHY


def alarming(looks: Iterator[list[tuple[str, str]]]) -> Callable[[Stack], list[tuple[str, str]]]:
    return lambda _: next(looks)


def test_an_alarm_that_goes_away_in_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_alarms", alarming(chain([MISSED, MISSED], repeat([]))))
    assert steady.steady_problems(cast(Stack, Healthy()), times=AT_ONCE, allowance_s=60.0) == []


def test_an_alarm_that_stays_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_alarms", alarming(repeat(MISSED)))
    [found] = steady.steady_problems(cast(Stack, Healthy()), times=AT_ONCE, allowance_s=0.0)
    assert (found.kind, found.ids) == (Kind.NOT_RECOVERED, {"service": "api-1"})


def test_the_gate_waits_as_long_as_the_machine_is_crowded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_alarms", alarming(chain([MISSED] * 4, repeat([]))))
    monkeypatch.setattr(steady, "GATE_ALLOWANCE_S", 0.001)
    crowded = chain([1.0], repeat(100_000.0))
    problems = steady.gate_problems(cast(Stack, Healthy()), times=AT_ONCE, crowding=lambda: next(crowded))
    assert problems == []


def test_an_alarm_that_stays_beyond_the_crowding_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "_alarms", alarming(repeat(MISSED)))
    monkeypatch.setattr(steady, "GATE_ALLOWANCE_S", 0.001)
    [found] = steady.gate_problems(cast(Stack, Healthy()), times=AT_ONCE, crowding=lambda: 2.0)
    assert found.kind is Kind.FALSE_ALARM


@pytest.mark.parametrize(
    ("pace", "stretch", "expected"),
    [
        pytest.param(None, 3.0, 3.0, id="before a control: an idle machine"),
        pytest.param(None, 100.0, MOST_CROWDING, id="at most"),
        pytest.param(Pace(work_s=1.0, quiesce_s=1.0, samples=1, stretch=2.0), 3.0, 1.5, id="than during the control"),
    ],
)
def test_crowding(pace: Pace | None, stretch: float, expected: float) -> None:
    assert crowding_of(pace, stretch) == expected
