"""The steady state: an alarm that goes away within the allowance is none, one that stays is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import cast

import pytest

from harness import steady
from harness.anomaly import Kind
from harness.drivers.protocol import Stack, State
from harness.times import LAB

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
