"""A campaign: one call of `lab chaos` or `lab defects`, from the choice of a driver to the last printed line."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from rich.console import Console

from harness import report
from harness.clock import utc_now
from harness.drivers.choice import Choice, choose
from harness.errors import LabError
from harness.interrupt import interruptible
from harness.lab_home import PROJECT
from harness.report.console import first_anomaly, verdict_table
from harness.report.live import lab_console, watching
from harness.report.record import read
from harness.rows.plan import Plan
from harness.run.lane import LaneOrder
from harness.run.lanes import usual_lanes
from harness.run.patch import Caught, caught_by, patch_block, patch_code, patched_copy
from harness.run.plugin import SMALL_OPTION, LabPlugin, Mode, Selection, run_code
from harness.run_record import RunRecord, new_run_directory
from harness.times import LAB
from harness.verdict import ExitCode, Verdict, verdict_of

PYTEST_INTERRUPTED: Final = 2
PYTEST_INTERNAL: Final = 3
PYTEST_USAGE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What was asked for. `keyword` is pytest's -k; `lanes` is how many scenarios play side by side, 0 the usual."""

    selection: Selection
    driver: str
    seed: int
    keyword: str = ""
    lanes: int = 0
    patch: Path | None = None

    def run(self, console: Console) -> ExitCode:
        """Play everything that was asked for; the last line printed is the verdict with its figures."""
        choice = choose(self.driver)
        console.print(f"driver {choice.name}: {choice.why}", soft_wrap=True)
        directory = new_run_directory(PROJECT)
        record = RunRecord(
            directory=directory, driver=choice.name, seed=self.seed, argv=sys.argv, times=LAB.as_json(), root=PROJECT
        )
        app_dir = None
        if self.patch is not None:
            app_dir = patched_copy(self.patch, root=PROJECT, into=directory)
        code, notes = self._play(console, choice=choice, record=record, app_dir=app_dir)
        caught = caught_by(record.scenarios) if self.patch is not None else None
        if self.patch is not None:
            code = patch_code(code, caught)
            record.patch = patch_block(self.patch, caught)
        record.code = code
        record.write()
        for note in notes:
            console.print(note, soft_wrap=True)
        report.write(directory)
        run = read(directory)
        console.print(verdict_table(run))
        console.print(first_anomaly(run), soft_wrap=True)
        console.print(f"report: {directory.relative_to(PROJECT)}/report.html", soft_wrap=True)
        console.print(self.last_line(record, code, caught), soft_wrap=True)
        return code

    def _play(
        self, console: Console, *, choice: Choice, record: RunRecord, app_dir: Path | None
    ) -> tuple[ExitCode, tuple[str, ...]]:
        order = LaneOrder(
            choice=choice,
            directory=record.directory,
            seed=self.seed,
            replay=partial(self._replay, driver=choice.name),
            app_dir=app_dir,
            parent=os.getpid(),
        )
        try:
            with (
                interruptible() as interrupts,
                watching(console) as listener,
                closing(
                    LabPlugin(
                        order=order,
                        lanes=self.lanes or usual_lanes(choice.name),
                        listener=listener,
                        record=record,
                        selection=self.selection,
                    )
                ) as plugin,
            ):
                try:
                    ended: int = pytest.main(self._arguments(record.directory), plugins=[plugin])
                except KeyboardInterrupt:  # Before pytest minds them, or after.
                    ended = PYTEST_INTERRUPTED
                finally:
                    interrupts.undo()
        except LabError as error:
            return ExitCode.LAB_FAILED, (str(error),)
        code, notes = run_code(record, planned=plugin.planned, is_strict=self.selection.is_strict)
        if ended == PYTEST_INTERRUPTED:
            return ExitCode.LAB_FAILED, ("interrupted; everything was undone", *notes)
        if ended == PYTEST_USAGE:
            return ExitCode.LAB_FAILED, ("nothing was played; see above",)
        if ended == PYTEST_INTERNAL:
            return ExitCode.LAB_FAILED, ("pytest itself failed; see above", *notes)
        return code, notes

    def _arguments(self, directory: Path) -> list[str]:
        words = [
            str(PROJECT / "scenarios"),
            f"--rootdir={PROJECT}",
            f"--config-file={PROJECT / 'pyproject.toml'}",
            f"--junitxml={directory / 'junit.xml'}",
            "--override-ini=timeout=900",
            # A socket that some library leaves to the garbage collector is not a finding about the stack.
            "-Wdefault::ResourceWarning",
            "-Wdefault::pytest.PytestUnraisableExceptionWarning",
            "-p", "no:cacheprovider", "-p", "no:xdist",
            "-q", "--no-header", "--no-summary", "-s", "-p", "no:terminalreporter",
        ]  # fmt: skip
        return [*words, "-k", self.keyword] if self.keyword else words

    def _replay(self, plan: Plan, *, driver: str) -> str:
        """The command that plays one plan again: same seed, load, what was planted or patched, and the driver that ran.

        `auto` may choose another one elsewhere.
        """
        words = ["lab", self.selection.mode.value, "--driver", driver, "--seed", str(self.seed)]
        words += ["--ids", plan.row.id, "--plan", plan.slug()]
        if plan.is_small and self.selection.mode is Mode.CHAOS:  # planted runs are small without being told
            words.append(SMALL_OPTION)
        if self.patch is not None:
            words += ["--patch", str(self.patch)]
        return shlex.join(words)

    def last_line(self, record: RunRecord, code: ExitCode, caught: Caught | None) -> str:
        """The verdict with its figures; `caught` is what caught the patch."""
        figures = _figures(record)
        if self.patch is not None:
            if caught is None:
                return f"{_uncaught(code, self.patch)}: {figures}"
            return f"PATCH {self.patch} caught by {caught.label}: {caught.kind}: {caught.summary} ({figures})"
        word = _word(code)
        if self.selection.mode is Mode.DEFECTS:
            planted = [each for each in record.scenarios if each.planted and each.verdict is not Verdict.SKIPPED]
            good = sum(each.is_as_expected() for each in planted)
            return f"{word}: {good} of {len(planted)} planted runs as declared; {figures}"
        return f"{word}: {figures}"


def _word(code: ExitCode) -> str:
    return "LAB FAILED" if code is ExitCode.LAB_FAILED else verdict_of(code).value


def _uncaught(code: ExitCode, patch: Path) -> str:
    """Only a run that is VALID shows that a patch goes unnoticed."""
    return f"PATCH {patch} not caught" if code is ExitCode.VALID else f"{_word(code)}: PATCH {patch} was not judged"


def play(campaign: Campaign) -> ExitCode:
    """Run a campaign on this terminal. An error of the lab becomes its last line and exit code 3."""
    console = lab_console()
    try:
        return campaign.run(console)
    except LabError as error:
        console.print(f"LAB FAILED: {error}", soft_wrap=True)
        return ExitCode.LAB_FAILED


def _figures(record: RunRecord) -> str:
    played: Sequence[Verdict] = [each.verdict for each in record.scenarios]
    verdicts = ", ".join(f"{played.count(each)} {each.value}" for each in Verdict if each in played) or "none"
    totals = {
        name: sum(each.counts.get(name, 0) for each in record.scenarios)
        for name in ("acknowledged", "present", "lost", "duplicated")
    }
    counted = ", ".join(f"{value:,} {name}" for name, value in totals.items())
    took_s = (utc_now() - record.started_at).total_seconds()
    return (
        f"{len(played)} scenarios ({verdicts}), {counted}, {took_s:.0f} s, driver {record.driver}, seed {record.seed}"
    )
