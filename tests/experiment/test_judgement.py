"""What an experiment is held to, by its row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from harness.experiment.contention import Contention
from harness.experiment.experiment import Experiment
from harness.experiment.judgement import expectations_of
from harness.experiment.schedule import ENTRIES
from harness.rows.plan import Plan
from harness.rows.row import CONTROL, PLAIN, Row
from harness.times import LAB, Recovery, Times


@dataclass(slots=True)
class Played:
    """As much of an experiment as is looked at here."""

    plan: Plan
    faulted: bool = False
    pace: None = None
    times: Times = LAB
    contention: Contention = field(default_factory=Contention)
    may_give_up: frozenset[Any] = frozenset()
    must_abandon: frozenset[Any] = frozenset()
    refusals: frozenset[Any] = frozenset()
    may_clean: bool = False
    may_miss_ticks: set[str] = field(default_factory=set)
    executions: dict[Any, int] = field(default_factory=dict)
    loud: tuple[Any, ...] = ()
    missing_witnesses: tuple[str, ...] = ()
    has_worked: bool = True
    request_bound_s: float = 15.0

    @property
    def row(self) -> Row:
        """The row."""
        return self.plan.row

    def quiesce_deadline_s(self) -> float:
        """Any."""
        return 1.0

    def crowding(self) -> float:
        """None."""
        return 1.0


@pytest.mark.parametrize(
    ("row", "is_control", "is_plain_load"),
    [(CONTROL, True, False), (PLAIN, False, True), ("W6", False, False)],
    ids=["control", "load", "fault"],
)
def test_who_is_not_harmed_may_not_be_refused(row: str, is_control: bool, is_plain_load: bool) -> None:
    played = Played(Plan(Row(id=row, title="any"), None, faulted=False))
    found = expectations_of(cast(Experiment, played))
    assert (found.is_control, found.is_plain_load) == (is_control, is_plain_load)


@pytest.mark.parametrize(
    "is_store_away", [False, True], ids=["what the row says", "every entry while a store was away"]
)
def test_who_may_miss_ticks(is_store_away: bool) -> None:
    row = Row(id="S9", title="any", recovery=Recovery.STORE_AWAY if is_store_away else Recovery.NONE)
    played = Played(Plan(row, None, faulted=True), faulted=True, may_miss_ticks={"one"})
    found = expectations_of(cast(Experiment, played)).may_miss_ticks
    assert found == (frozenset(ENTRIES) if is_store_away else {"one"})
