"""The life of a scenario: gate, play, undo, quiesce, observe, check, steady state again, record.

Whatever happens, faults are undone in reverse order and what was started is ended; a scenario always leaves a record.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.anomaly import TIMED, Anomaly, Kind
from harness.checkers.suite import Findings
from harness.drivers.pool import Pool
from harness.drivers.protocol import Stack
from harness.errors import HealFailed, Inconclusive, LabError, MissingCapability, StartFailed
from harness.events import Listener
from harness.experiment.contention import Contention
from harness.experiment.crowd import Crowd
from harness.experiment.experiment import Experiment, fleet_of, new_experiment
from harness.experiment.judgement import judge_run
from harness.experiment.phases import Phases
from harness.experiment.standstill import Standstill, StandstillWatch
from harness.experiment.steady import gate_problems, steady_problems
from harness.receipt import Injected
from harness.rows.plan import Plan
from harness.rows.row import CONTROL
from harness.run_record import ScenarioRecord
from harness.times import Pace, crowding_of, order_problems
from harness.verdict import Verdict, judge

Scenario = Callable[[Experiment], None]


@dataclass(slots=True)
class Session:
    """What all scenarios of one run share. `driver` is what makes the pool's stacks.

    `pace` is set by the control; `versions` by the first stack.

    `replay` makes the command that repeats one plan; `make_crowd` makes who sends.
    """

    pool: Pool
    driver: str
    directory: Path
    seed: int
    listener: Listener
    replay: Callable[[Plan], str]
    make_crowd: Callable[[Experiment], Crowd] = fleet_of
    app_dir: Path | None = None
    pace: Pace | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Findings:
    """What is known of a scenario so far."""

    anomalies: list[Anomaly] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    counts: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[Injected, ...] = ()
    witnesses: Mapping[str, Any] = field(default_factory=dict)
    recovery_s: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    stretch: float = 1.0
    lab_failed: bool = False
    heal_failed: bool = False
    is_stack_as_new: bool = True
    skipped: str | None = None

    def doubt_what_is_timed(self, standstills: Sequence[Standstill]) -> None:
        """While the machine stood still everything was late: then no anomaly that says so is a fact about the app."""
        if not standstills:
            return
        longest = max(standstills, key=lambda each: each.lasted_s)
        self.doubts += [f"{longest}: {each.summary}" for each in self.anomalies if each.kind in TIMED]
        self.anomalies = [each for each in self.anomalies if each.kind not in TIMED]


def play(
    scenario: Scenario, *, plan: Plan, session: Session, test: str, following: Plan | None = None
) -> ScenarioRecord:
    """Play one plan from start to record; the stack of the `following` one is started while this one is judged.

    A record whose `heal_failed` is set ends the run. Raises: KeyboardInterrupt, after everything is undone.
    """
    phases = Phases(plan.label(), session.listener)
    found = _Findings()
    begun = time.monotonic()
    stack: Stack | None = None
    try:
        phases.enter("start")
        problems = order_problems(plan.times(), hold_s=plan.row.hold_s)
        if problems:
            raise LabError("the order of times does not hold: " + "; ".join(problems))
        if (lack := plan.row.lack(session.driver)) is not None:
            raise MissingCapability(lack)
        stack = session.pool.take(plan.spec(app_dir=session.app_dir))
        session.versions.update(stack.versions())
        _play_on(stack, scenario, plan=plan, session=session, phases=phases, found=found, following=following)
    except MissingCapability as error:
        found.skipped = str(error)
    except Inconclusive as error:
        found.doubts.append(str(error))
    except StartFailed as error:
        found.anomalies.append(_came_to_nothing(error))
        found.doubts.append(str(error))
    except HealFailed as error:
        found.doubts.append(str(error))
        found.lab_failed = found.heal_failed = True
    except LabError as error:
        found.doubts.append(str(error))
        found.lab_failed = True
    except Exception:  # noqa: BLE001  # the error becomes data of the report; the run goes on with the next scenario
        found.doubts.append("the lab failed: " + traceback.format_exc())
        found.lab_failed = True
    finally:
        phases_s = phases.end()
        if stack is not None:
            clean = not found.anomalies and not found.doubts and found.is_stack_as_new
            session.pool.give_back(stack, is_touched=not clean)
    verdict = judge(anomalies=len(found.anomalies), doubts=len(found.doubts))
    if found.skipped is not None and verdict is Verdict.VALID:
        verdict = Verdict.SKIPPED
        found.doubts.append(found.skipped)
    if plan.row.id == CONTROL and verdict is Verdict.VALID:
        session.pace = Pace(
            work_s=phases_s.get("work", 0.0),
            quiesce_s=phases_s.get("quiesce", 0.0),
            samples=found.samples,
            stretch=found.stretch,
        )
    return _record(
        plan, found, verdict=verdict, phases_s=phases_s, took_s=time.monotonic() - begun, test=test, session=session
    )


def _play_on(
    stack: Stack,
    scenario: Scenario,
    *,
    plan: Plan,
    session: Session,
    phases: Phases,
    found: _Findings,
    following: Plan | None,
) -> None:
    phases.enter("gate")
    contention = Contention()
    found.anomalies += gate_problems(
        stack, times=plan.times(), crowding=lambda: crowding_of(session.pace, contention.stretch())
    )
    if found.anomalies:
        return
    x = new_experiment(
        plan=plan,
        stack=stack,
        directory=session.directory / plan.slug(),
        seed=session.seed,
        pace=session.pace,
        phases=phases,
        make_crowd=session.make_crowd,
    )
    standstills = StandstillWatch()
    standstills.start()
    try:
        try:
            scenario(x)
        except Inconclusive as error:
            # The checkers may still have something to say, and an anomaly outweighs a doubt.
            found.doubts.append(str(error))
        x.heal_all()
        if following is not None:
            _prepare(following, x=x, session=session)
        x.quiesce()
        phases.enter("check")
        # Waited for first, so that nothing is judged half-way; told last, since what became of samples matters more.
        unsteady = steady_problems(stack, times=plan.times(), allowance_s=x.control_s, crowding=x.crowding)
        _take(judge_run(x), x, found)
        found.anomalies += unsteady
        for each in standstills.seen:
            phases.note(str(each))
        found.doubt_what_is_timed(standstills.seen)
    finally:
        standstills.stop()
        try:
            x.undo()
        finally:
            found.faults = x.harm.injected()
            found.is_stack_as_new = x.harm.leaves_as_new()


def _came_to_nothing(error: StartFailed) -> Anomaly:
    """Before the gate there is no evidence for a checker; what the driver saw says enough."""
    ids = {"service": error.replica}
    if error.exit_code is None:
        return Anomaly(Kind.NOT_RECOVERED, f"{error.replica} was started and did not become ready in time", ids)
    summary = f"{error.replica} exited with code {error.exit_code} when it was started, without being told to"
    return Anomaly(Kind.CRASHED, summary, {**ids, "exit_code": str(error.exit_code)})


def _prepare(following: Plan, *, x: Experiment, session: Session) -> None:
    """Begin to start the next scenario's stack, unless it can have this one. All is healed: only waiting is left."""
    spec = following.spec(app_dir=session.app_dir)
    if following.row.lack(session.driver) is None and (not x.harm.leaves_as_new() or spec != x.stack.spec):
        session.pool.prepare(spec)


def _take(findings: Findings, x: Experiment, found: _Findings) -> None:
    found.anomalies += findings.anomalies
    found.doubts += findings.doubts
    found.counts = findings.counts
    found.samples = findings.counts.get("acknowledged", 0)
    found.stretch = x.contention.stretch()
    found.witnesses = x.witnesses
    found.recovery_s = x.recovery_s


def _record(
    plan: Plan,
    found: _Findings,
    *,
    verdict: Verdict,
    phases_s: Mapping[str, float],
    took_s: float,
    test: str,
    session: Session,
) -> ScenarioRecord:
    defect = plan.planted.defect if plan.planted else None
    return ScenarioRecord(
        row=plan.row,
        test=test,
        planted=defect.name if defect else None,
        faulted=plan.faulted and plan.row.id != CONTROL,
        nets_removed=defect.nets_removed if defect else (),
        wrong_without_fault=bool(defect and defect.wrong_without_fault),
        expected=plan.expected(),
        verdict=verdict,
        duration_s=took_s,
        phases_s=phases_s,
        faults=found.faults,
        counts=found.counts,
        witnesses=found.witnesses,
        anomalies=tuple(found.anomalies),
        doubts=tuple(found.doubts),
        recovery_s=found.recovery_s,
        replay=session.replay(plan),
        times=plan.times().as_json(),
        directory=plan.slug(),
        lab_failed=found.lab_failed,
        heal_failed=found.heal_failed,
    )
