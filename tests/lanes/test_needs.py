"""A row that needs containers is skipped elsewhere: no stack is started for it, and its record says why."""

from __future__ import annotations

from pathlib import Path

from harness.drivers.pool import Pool
from harness.drivers.protocol import Stack, StackSpec
from harness.events import Event
from harness.experiment.experiment import Experiment
from harness.experiment.life import Session, play
from harness.rows.plan import Plan
from harness.rows.row import Need, Row
from harness.verdict import Verdict


class Unheard:
    def on_event(self, event: Event) -> None: ...


class StackAskedFor(Exception): ...


def no_stack(spec: StackSpec) -> Stack:
    raise StackAskedFor


def no_scenario(x: Experiment) -> None:
    raise AssertionError("it must not be played")


PLAN = Plan(Row(id="W19", title="a memory limit", needs=(Need.CONTAINERS,)))


def session_on(driver: str, directory: Path) -> Session:
    return Session(
        pool=Pool(make=no_stack), driver=driver, directory=directory, seed=1, listener=Unheard(), replay=lambda _: ""
    )


def test_it_is_skipped_with_the_reason(tmp_path: Path) -> None:
    played = play(no_scenario, plan=PLAN, session=session_on("processes", tmp_path), test="it")
    assert (played.verdict, played.reason()) == (
        Verdict.SKIPPED,
        "W19 needs containers; this run's driver is processes",
    )
    assert not played.lab_failed


def test_with_containers_a_stack_is_asked_for(tmp_path: Path) -> None:
    played = play(no_scenario, plan=PLAN, session=session_on("containers", tmp_path), test="it")
    assert played.verdict is Verdict.INCONCLUSIVE
    assert StackAskedFor.__name__ in played.reason()
