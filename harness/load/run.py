"""A load run: one call of `lab load`, from the choice of a driver to the last printed line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console

from harness.drivers.choice import choose
from harness.drivers.pool import Pool
from harness.errors import LabError
from harness.events import RunEvent, ScenarioEvent, VerdictEvent
from harness.experiment.life import Session, play
from harness.interrupt import interruptible
from harness.lab_home import PROJECT
from harness.load.finish import finish, last_line
from harness.load.scene import Scene
from harness.report.live import lab_console, watching
from harness.run_record import RunRecord, new_run_directory
from harness.times import LAB
from harness.verdict import ExitCode, exit_code_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """What was asked for."""

    scene: Scene
    driver: str
    replay: tuple[str, ...]

    def run(self, console: Console) -> ExitCode:
        """Play it; the last line printed is the verdict with its figures."""
        choice = choose(self.driver)
        console.print(f"driver {choice.name}: {choice.why}", soft_wrap=True, highlight=False)
        plan = self.scene.plan()
        if (lack := plan.row.lack(choice.name)) is not None:
            raise LabError(lack)
        directory = new_run_directory(PROJECT)
        record = RunRecord(
            directory=directory,
            driver=choice.name,
            seed=self.scene.order.seed,
            argv=sys.argv,
            times=LAB.as_json(),
            root=PROJECT,
        )
        with (
            interruptible() as interrupts,
            watching(console) as listener,
            closing(Pool(make=choice.maker(directory / "stacks"))) as pool,
        ):
            session = Session(
                pool=pool,
                driver=choice.name,
                directory=directory,
                seed=self.scene.order.seed,
                listener=listener,
                replay=lambda _: self.again(driver=choice.name),
                make_crowd=self.scene.make_crowd,
            )
            listener.on_event(RunEvent(choice.name, record.seed, 1))
            listener.on_event(ScenarioEvent(plan.label(), 1, 1))
            try:
                played = play(self.scene.play, plan=plan, session=session, test=self.scene.test)
            finally:
                interrupts.undo()
            listener.on_event(VerdictEvent(plan.label(), played.verdict.value, played.duration_s, played.reason()))
        record.scenarios.append(played)
        record.versions = session.versions
        record.code = ExitCode.LAB_FAILED if played.lab_failed else exit_code_of(played.verdict)
        finish(record, console, last_line=last_line(record, played, self.scene.figures))
        return record.code

    def again(self, *, driver: str) -> str:
        """The command that loads again, on the driver that ran."""
        return shlex.join(on_driver(self.replay, driver=driver))


def on_driver(words: Sequence[str], *, driver: str) -> list[str]:
    """A call of `lab load` with this driver, where `auto` may choose another: of two options the last counts."""
    return [*words] if driver in words else [*words, "--driver", driver]


class Runnable(Protocol):
    """A load run, here or elsewhere."""

    def run(self, console: Console) -> ExitCode:
        """Play it; the last line printed is the verdict with its figures."""


def start(run: Runnable) -> ExitCode:
    """Play a load run on this terminal. An error of the lab becomes its last line and exit code 3."""
    console = lab_console()
    try:
        return run.run(console)
    except LabError as error:
        console.print(f"LAB FAILED: {error}", soft_wrap=True, highlight=False, markup=False)
        return ExitCode.LAB_FAILED
    except KeyboardInterrupt:
        console.print("LAB FAILED: interrupted; everything was undone", markup=False)
        return ExitCode.LAB_FAILED
