"""One round of play: phones that use the stack, faults that a person injects, and a verdict over both at the end."""

from __future__ import annotations

import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from harness import report
from harness.anomaly import Anomaly
from harness.clock import pause, utc_now
from harness.devices.runner import Fleet
from harness.drivers.protocol import Stack
from harness.errors import LabError
from harness.events import Event, NoteEvent, PhaseEvent
from harness.experiment.experiment import Experiment, new_experiment
from harness.experiment.harm import Live
from harness.experiment.judgement import judge_run
from harness.experiment.phases import Phases
from harness.experiment.steady import GATE_ALLOWANCE_S, steady_problems
from harness.play.channel import Say
from harness.play.kill_watch import KillWatch
from harness.play.menu import order
from harness.receipt import doubts_about
from harness.rows.plan import Plan
from harness.rows.row import Load, Row
from harness.run_record import RunRecord, ScenarioRecord, new_run_directory
from harness.times import Recovery
from harness.verdict import Verdict, exit_code_of, judge

PLAY: Final = "PLAY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `lab up` was asked for. `pace_s` is a phone's pause after each call; `samples` is per phone."""

    driver: str
    phones: int
    samples: int
    pace_s: float
    seed: int

    def row(self) -> Row:
        """The round as a row: nothing declared, so that only the invariants of every scenario hold."""
        load = Load(phones=self.phones, samples=self.phones * self.samples)
        return Row(id=PLAY, title="a stack to play with", load=load, recovery=Recovery.STORE_AWAY)

    def replay(self, *, driver: str) -> str:
        """The command that brings the same phones to a stack of this driver."""
        words = ("--driver", driver, "--phones", self.phones, "--samples", self.samples, "--pace", self.pace_s)
        return shlex.join(("lab", "up", *map(str, words), "--seed", str(self.seed)))


@dataclass(slots=True)
class Whisper:
    """Listens to the round and tells whoever asked for what is being done; `say` changes with each request."""

    say: Say

    def on_event(self, event: Event) -> None:
        """Pass on what a person wants to know."""
        match event:
            case NoteEvent():
                self.say(event.text)
            case PhaseEvent():
                self.say(event.phase + (f" (at most {event.deadline_s:.0f} s)" if event.deadline_s else ""))
            case _:
                pass


@dataclass(slots=True)
class Round:
    """From the first phone to the verdict. Not for several threads; the keeper takes one request at a time."""

    stack: Stack
    order: Order
    root: Path
    lair: Path
    whisper: Whisper
    plan: Plan = field(init=False)
    is_over: bool = False
    _x: Experiment = field(init=False)
    _kills: KillWatch = field(init=False)
    _phases: Phases = field(init=False)
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.plan = Plan(self.order.row())
        self._phases = Phases(PLAY, self.whisper)
        self._phases.enter("start")
        self._x = new_experiment(
            plan=self.plan,
            stack=self.stack,
            directory=self.lair / f"{utc_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
            seed=self.order.seed,
            pace=None,
            phases=self._phases,
        )
        self._kills = KillWatch(self.stack, self._x.harm)
        self._x.habits = replace(self._x.habits, pace_s=self.order.pace_s)
        self._x.fleet = Fleet(self._x.shape(), balancer=self._x.balancer, ledger=self._x.ledger, habits=self._x.habits)

    def start(self) -> None:
        """Let the phones begin, if there are any."""
        if self.order.phones:
            self._x.work()

    def inject(self, name: str, *, service: str, for_s: float | None) -> dict[str, Any]:
        """Do harm and wait for its receipt; with `for_s` undo it after so many seconds.

        Raises: LabError when the fault is unknown, or does not bite in time.
        """
        if self.is_over:
            raise LabError("this round has its verdict; `lab up --phones n` begins another")
        live = self._x.inject(order(self.stack, name, service=service))
        if live is None:
            raise LabError("this round is played without faults")
        if for_s is not None:
            pause(for_s)
            self._x.heal(live)
        return _told(live)

    def heal(self) -> dict[str, Any]:
        """Undo everything that was injected, or killed by hand. Raises: HealFailed."""
        self.see_kills()
        harmed = [each.label() for each in reversed(self._x.harm.injected()) if each.healed_at is None]
        self._x.heal_all()
        return {"healed": harmed}

    def see_kills(self) -> None:
        """Notice what a person has killed past the lab; `heal` and `verify` undo it."""
        if not self.is_over:
            self._kills.look()

    def progress(self) -> dict[str, Any]:
        """What the phones did so far, and what is harmed now."""
        tally = self._x.fleet.tally()
        return {
            "phones": self.order.phones,
            "is_sending": self._x.fleet.is_running,
            "attempted": tally.attempted_samples,
            "acknowledged": tally.acknowledged_samples,
            "unknown_ops": tally.unknown_ops,
            "errors": list(self._x.fleet.errors()),
            "faults": [
                {"fault": each.label(), "is_healed": each.healed_at is not None} for each in self._x.harm.injected()
            ],
        }

    def verify(self) -> dict[str, Any]:
        """Heal, wait until nothing is in flight, check, and write run.json and report.html. Ends the round."""
        if self.is_over:
            raise LabError("this round has its verdict already: `lab report` shows it")
        if not self.order.phones:
            raise LabError("no phone used this stack, so there is nothing to verify; `lab up --phones n` brings some")
        self.see_kills()
        self._x.quiesce()
        self._phases.enter("check")
        unsteady = steady_problems(self.stack, times=self.plan.times(), allowance_s=GATE_ALLOWANCE_S)
        findings = judge_run(self._x)
        anomalies = (*unsteady, *findings.anomalies)
        doubts = (*findings.doubts, *(doubt for each in self._x.harm.injected() for doubt in doubts_about(each)))
        verdict = judge(anomalies=len(anomalies), doubts=len(doubts))
        self.is_over = True
        record = self._record(verdict=verdict, counts=findings.counts, anomalies=anomalies, doubts=doubts)
        directory = self._write(record)
        return {
            "verdict": verdict.value,
            "reason": record.reason(),
            "counts": dict(findings.counts),
            "report": str(directory / "report.html"),
            "exit_code": int(exit_code_of(verdict)),
        }

    def end(self) -> None:
        """Undo faults, end the phones. Idempotent. Raises: HealFailed."""
        self._x.undo()

    def _record(
        self,
        *,
        verdict: Verdict,
        counts: Mapping[str, int],
        anomalies: tuple[Anomaly, ...],
        doubts: tuple[str, ...],
    ) -> ScenarioRecord:
        return ScenarioRecord(
            row=self.plan.row,
            test="",
            planted=None,
            faulted=bool(self._x.harm.injected()),
            nets_removed=(),
            wrong_without_fault=False,
            expected=self.plan.expected(),
            verdict=verdict,
            duration_s=time.monotonic() - self._begun,
            phases_s=self._phases.end(),
            faults=self._x.harm.injected(),
            counts=counts,
            witnesses=self._x.witnesses,
            anomalies=anomalies,
            doubts=doubts,
            recovery_s=self._x.recovery_s,
            replay=self.order.replay(driver=self.stack.driver),
            times=self.plan.times().as_json(),
            directory=self.plan.slug(),
        )

    def _write(self, scenario: ScenarioRecord) -> Path:
        """Move what the round left to a run of its own below `reports`, and write the report there."""
        directory = new_run_directory(self.root)
        shutil.move(self._x.directory, directory / scenario.directory)
        record = RunRecord(
            directory=directory,
            driver=self.stack.driver,
            seed=self.order.seed,
            argv=sys.argv,
            times=self.plan.times().as_json(),
            root=self.root,
            versions=self.stack.versions(),
            scenarios=[scenario],
            code=exit_code_of(scenario.verdict),
        )
        record.write()
        report.write(directory)
        return directory


def _told(live: Live) -> dict[str, Any]:
    injected = live.injected
    receipt = injected.receipt
    return {
        "fault": injected.label(),
        "is_healed": injected.healed_at is not None,
        "source": receipt.source if receipt else "",
        "before": receipt.before if receipt else "",
        "after": receipt.after if receipt else "",
    }
