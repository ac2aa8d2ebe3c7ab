"""Rows: what a scenario declares about itself, beside the function that plays it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

import pytest

from harness.drivers.protocol import StackSpec
from harness.rows.defect import Planted
from harness.times import Recovery

Scenario = TypeVar("Scenario", bound=Callable[..., None])
CONTROL = "CONTROL"
PLAIN = "LOAD"
"""A load run with nobody in the way: no row of the catalogue."""


class Tier(StrEnum):
    """`fast` gates a pull request, `core` adds what every such stack must survive, `rest` is what both leave out."""

    FAST = "fast"
    CORE = "core"
    REST = "rest"

    def takes(self, other: Tier) -> bool:
        """Whether rows of the other tier are played when this one is asked for."""
        return other is self or (self is Tier.CORE and other is Tier.FAST)


class Need(StrEnum):
    """What a row cannot do without; a driver that lacks it skips the row, with this as the reason."""

    CONTAINERS = "containers"
    """A property of containers: PID 1, resource limits, the kernel's OOM killer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What devices do in a row. A planted run may be smaller: it has to show an anomaly, not a volume.

    `samples` is how many are generated before doubles, odd ones and bad ones; with these, more than 20,000 are
    acknowledged in a row that asks for nothing else.
    """

    phones: int = 10
    samples: int = 16_500
    planted_phones: int = 4
    planted_samples: int = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the catalogue, or one variant of it.

    `spec` is what its stack differs in; `recovery` decides its deadline; `hold_s` is how long its tripwire holds at
    most (checked against the lock timeout).
    """

    id: str
    title: str
    variant: str = ""
    tier: Tier = Tier.REST
    needs: tuple[Need, ...] = ()
    defects: tuple[Planted, ...] = ()
    spec: StackSpec = field(default_factory=StackSpec)
    load: Load = field(default_factory=Load)
    recovery: Recovery = Recovery.NONE
    hold_s: float = 0.0

    def label(self) -> str:
        """As the verdict table names it: `W6`, `W1[warm]`."""
        return f"{self.id}[{self.variant}]" if self.variant else self.id

    def names(self) -> frozenset[str]:
        """By which it can be asked for: alone, or with the other variants of its id."""
        return frozenset({self.id, self.label()})

    def lack(self, driver: str) -> str | None:
        """What keeps this driver from playing the row, in words; None when nothing does."""
        if Need.CONTAINERS in self.needs and driver != Need.CONTAINERS:
            return f"{self.label()} needs containers; this run's driver is {driver}"
        return None


def row(id: str, *, title: str, **declared: object) -> Callable[[Scenario], Scenario]:
    """Declare a test function a row of the catalogue. Several on one function are its variants.

    Takes every other field of Row by keyword. The function gets the Experiment, and `x.row` says which row it plays.
    """
    made = Row(id=id, title=title, **declared)  # type: ignore[arg-type]  # dataclass checks names; mypy sees object

    def declare(scenario: Scenario) -> Scenario:
        marked: Scenario = pytest.mark.row(made)(scenario)
        return marked

    return declare
