"""The pytest plugin: turns rows into tests, plays them, and keeps their records.

Registered by `lab chaos` and `lab defects`, never by itself: without it a scenario is a function that wants an `x`.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import pytest

from harness.drivers.protocol import StackSpec
from harness.events import Listener, RunEvent, ScenarioEvent, VerdictEvent
from harness.rows.plan import Plan
from harness.rows.row import CONTROL, Row, Tier
from harness.run.lane import Job, LaneOrder, LaneProgram, Played, run_lane
from harness.run.lanes import Lanes
from harness.run_record import RunRecord, ScenarioRecord
from harness.verdict import ExitCode, Verdict, exit_code_of, worst

ARGUMENT: Final = "x"
SMALL_OPTION: Final = "--small"
"""Of `lab chaos`; a replay command that has it repeats a run with small load."""
ERROR_TAIL_CHARS: Final = 2_000


class Mode(Enum):
    """What is played: every row as it is, or every row's planted defects, with their fault and without."""

    CHAOS = "chaos"
    DEFECTS = "defects"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for. Empty `ids` means all; the control is always added. `plans` picks single plans by slug.

    An id names a row with all its variants (`W1`), or one of them as the verdict table does (`W1[warm]`).
    """

    mode: Mode
    ids: frozenset[str] = frozenset()
    tier: Tier | None = None
    is_strict: bool = False
    plans: frozenset[str] = frozenset()
    is_small: bool = False

    def takes(self, plan: Plan) -> bool:
        """Whether this plan is to be played."""
        if plan.row.id == CONTROL:
            return plan.planted is None
        if self.plans:
            return plan.slug() in self.plans
        is_wanted = not self.ids or not self.ids.isdisjoint(plan.row.names())
        return is_wanted and (self.tier is None or self.tier.takes(plan.row.tier))

    def is_for_control_alone(self) -> bool:
        """Whether the control was asked for by its name, so that nothing else need be selected."""
        return CONTROL in self.ids | self.plans

    def in_words(self) -> str:
        """What narrows it."""
        tier = f"tier {self.tier.value}" if self.tier is not None else ""
        return ", ".join(each for each in (" ".join(sorted(self.ids)), " ".join(sorted(self.plans)), tier) if each)


@dataclass(slots=True)
class LabPlugin:
    """Has played what is collected. `planned` is every selected plan, so that one that never ran is noticed."""

    order: LaneOrder
    lanes: int
    listener: Listener
    record: RunRecord
    selection: Selection
    run: LaneProgram = run_lane
    planned: list[str] = field(default_factory=list)
    known_ids: set[str] = field(default_factory=set)
    known_plans: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)
    _position: int = 0
    _lanes: Lanes = field(init=False)
    _handed_out: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._lanes = Lanes(
            order=self.order,
            count=self.lanes,
            listener=self.listener,
            on_begun=self._note_begun,
            on_played=self._note_played,
            run=self.run,
        )

    @pytest.fixture
    def x(self, request: pytest.FixtureRequest) -> Plan:
        """The argument of every scenario; the plan is replaced by its Experiment when it is played."""
        plan: Plan = request.param
        return plan

    def pytest_configure(self, config: pytest.Config) -> None:
        """Declare the mark."""
        config.addinivalue_line("markers", "row(row): a row of the hazard catalogue; use harness.rows.row.row")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test a plan: each row of the function, in chaos as it is, in defects with each of its defects."""
        rows: list[Row] = [mark.args[0] for mark in metafunc.definition.iter_markers("row")]
        if not rows or ARGUMENT not in metafunc.fixturenames:
            return
        plans = [plan for row in reversed(rows) for plan in self._plans_of(row)]
        metafunc.parametrize(ARGUMENT, plans, indirect=True, ids=[plan.slug() for plan in plans])

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what was asked for; the control first, then the largest."""
        kept: list[pytest.Item] = []
        dropped: list[pytest.Item] = []
        for item in items:
            plan = _plan_of(item)
            if plan is not None:
                self.known_ids |= plan.row.names()
                self.known_plans.add(plan.slug())
            (kept if plan is not None and self.selection.takes(plan) else dropped).append(item)
        config.hook.pytest_deselected(items=dropped)
        items[:] = sorted(kept, key=_order)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be imported: its rows would be missing without a word."""
        if report.failed:
            self.unreadable.append(f"{report.nodeid}: {report.longreprtext[-ERROR_TAIL_CHARS:]}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note what is to be played (after `-k` had its say).

        Raises: UsageError when a file of scenarios cannot be imported, an id or a plan is not in the catalogue, or
        what was asked for has nothing in common but the control.
        """
        if self.unreadable:
            raise pytest.UsageError("scenarios could not be read: " + "; ".join(self.unreadable))
        for asked, known in ((self.selection.ids, self.known_ids), (self.selection.plans, self.known_plans)):
            if asked - known:
                raise pytest.UsageError(
                    f"no scenario for {', '.join(sorted(asked - known))}; there are {', '.join(sorted(known))}"
                )
        narrowed = self.selection.in_words()
        selected = {plan.row.id for item in session.items if (plan := _plan_of(item)) is not None}
        if narrowed and selected == {CONTROL} and not self.selection.is_for_control_alone():
            raise pytest.UsageError(f"nothing but the control is selected by {narrowed} ({self.selection.mode.value})")
        self.planned = [plan.label() for item in session.items if (plan := _plan_of(item)) is not None]
        self.listener.on_event(RunEvent(self.record.driver, self.record.seed, len(self.planned)))

    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Have a scenario played in place of calling it. A verdict other than the declared one fails the test.

        The control is played alone, for every deadline is computed from its pace; then all others, side by side, or
        none when it is not VALID.
        """
        plan = _plan_of(pyfuncitem)
        if plan is None:
            return None
        if plan.slug() not in self._handed_out:
            items = pyfuncitem.session.items
            self._hand_out([pyfuncitem] if plan.row.id == CONTROL else items[items.index(pyfuncitem) :])
        try:
            self._lanes.wait_for(plan)
        finally:
            if plan.row.id == CONTROL and not any(each.verdict is Verdict.VALID for each in self.record.scenarios):
                self._lanes.give_up("not played: the control is not VALID, so nothing else would prove anything")
        played = next(each for each in self.record.scenarios if each.directory == plan.slug())
        if played.verdict is Verdict.SKIPPED:
            pytest.skip(played.reason())
        if not played.is_as_expected():
            pytest.fail(f"expected {played.expected}, got {played.verdict.value}: {played.reason()}", pytrace=False)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """JUnit's time is the scenario's own, not how long pytest waited for a lane to end."""
        report = yield
        plan = _plan_of(item)
        played = next((each for each in self.record.scenarios if plan and each.directory == plan.slug()), None)
        if report.when == "call" and played is not None:
            report.duration = played.duration_s
        return report

    def pytest_sessionfinish(self) -> None:
        """Records in the order in which they were asked for, whichever ended first."""
        self.record.scenarios.sort(key=lambda each: self.planned.index(each.label()))

    def close(self) -> None:
        """End the lanes; what is being played is interrupted and undone. Raises: LabError when one does not end."""
        self._lanes.close()

    def _hand_out(self, items: Sequence[pytest.Item]) -> None:
        jobs = [
            Job(plan=plan, scenario=item.obj, test=item.nodeid)
            for item in items
            if isinstance(item, pytest.Function) and (plan := _plan_of(item)) is not None
        ]
        self._handed_out.update(job.plan.slug() for job in jobs)
        self._lanes.add(jobs)

    def _note_begun(self, job: Job) -> None:
        self._position += 1
        self.listener.on_event(ScenarioEvent(job.plan.label(), self._position, len(self.planned)))

    def _note_played(self, job: Job, played: Played) -> None:
        one = played.record
        self.record.scenarios.append(one)
        self.record.versions = {**self.record.versions, **played.versions}
        self.record.write()
        self.listener.on_event(VerdictEvent(one.label(), one.verdict.value, one.duration_s, one.reason()))
        if one.heal_failed:
            self._lanes.give_up(f"not played: a fault of {one.label()} could not be undone")

    def _plans_of(self, row: Row) -> list[Plan]:
        if self.selection.mode is Mode.CHAOS or row.id == CONTROL:
            return [Plan(row, is_small=self.selection.is_small or self.selection.mode is Mode.DEFECTS)]
        return [Plan(row, planted, faulted) for planted in row.defects for faulted in (True, False)]


def run_code(record: RunRecord, *, planned: list[str], is_strict: bool) -> tuple[ExitCode, tuple[str, ...]]:
    """The run's exit code, and in words what made it worse than its scenarios' verdicts.

    The control must be VALID: without it nothing is proven, and nothing else is played. Every other planned scenario
    must have left a record.
    """
    played = {each.label(): each for each in record.scenarios}
    missing = [label for label in planned if label not in played]
    codes = [_code_of(each, is_strict=is_strict) for each in record.scenarios]
    control = played.get(CONTROL)
    if control is not None and control.verdict is not Verdict.VALID:
        note = "the control is not VALID, so nothing else would prove anything"
        unplayed = f"; not played: {', '.join(missing)}" if missing else ""
        return worst([*codes, ExitCode.INCONCLUSIVE]), (note + unplayed,)
    notes = [f"{label} never ran to its end" for label in missing]
    if not planned:
        notes.append("no scenario was selected")
    if control is None:
        notes.append("the control was not played, so nothing else proves anything")
    return worst([*codes, ExitCode.LAB_FAILED] if notes else codes), tuple(notes)


def _code_of(played: ScenarioRecord, *, is_strict: bool) -> ExitCode:
    if played.lab_failed:
        return ExitCode.LAB_FAILED
    if played.verdict is Verdict.SKIPPED:
        return ExitCode.INCONCLUSIVE if is_strict else ExitCode.VALID
    if played.is_as_expected():
        return ExitCode.VALID
    # Planted and not caught for the declared reason: the lab cannot tell, which is as bad as an anomaly.
    return exit_code_of(played.verdict) if played.planted is None else _uncaught(played.verdict)


def _uncaught(verdict: Verdict) -> ExitCode:
    return ExitCode.INCONCLUSIVE if verdict is Verdict.INCONCLUSIVE else ExitCode.INVALID


def _plan_of(item: pytest.Item) -> Plan | None:
    callspec = getattr(item, "callspec", None)
    plan = callspec.params.get(ARGUMENT) if callspec is not None else None
    return plan if isinstance(plan, Plan) else None


def _order(item: pytest.Item) -> tuple[bool, int, str]:
    """The largest first, so that lanes end at about the same time; among those, the ones that can have the control's
    stack, which is free when they begin.
    """
    plan = _plan_of(item)
    if plan is None:
        return (True, 0, "")
    return (plan.row.id != CONTROL, -plan.samples(), "" if plan.row.spec == StackSpec() else repr(plan.row.spec))
