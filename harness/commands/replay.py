"""`lab replay`: play a run, or one scenario of it, again."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from harness.commands.report import find_run
from harness.errors import LabError
from harness.load import elsewhere
from harness.load.run import on_driver
from harness.play.round import PLAY
from harness.report.record import PATCH_FILE, RunRecord, ScenarioRecord, read
from harness.run.campaign import Campaign, play
from harness.run.plugin import SMALL_OPTION, Mode, Selection

LOAD: Final = ["lab", "load"]
"""How the replay command of a load run begins."""


def replay(
    run: Annotated[Path, typer.Argument(help="a run's directory or its run.json")],
    scenario: Annotated[str, typer.Argument(help="as the report calls it, e.g. 'W1\\[warm]'; default: all of it")] = "",
) -> None:
    """Same seed, same devices and data, same points of the faults. Exit codes as those of `lab chaos`."""
    record = read(find_run(run))
    chosen = _chosen(record, scenario)
    words = shlex.split(chosen[0].replay)
    if words[:2] == LOAD:
        os.execv(sys.executable, [sys.executable, sys.argv[0], *load_words(words, driver=record.driver)])
    raise typer.Exit(int(play(campaign_of(record, scenario=scenario))))


def load_words(words: list[str], *, driver: str) -> list[str]:
    """What to call `lab` with to play a load run again, on the driver that it ran on."""
    return words[1:] if driver == elsewhere.DRIVER else on_driver(words[1:], driver=driver)


def campaign_of(run: RunRecord, *, scenario: str) -> Campaign:
    """The campaign that plays it again. Raises: LabError when there is nothing to replay."""
    chosen = _chosen(run, scenario)
    if any(one.id == PLAY for one in chosen):
        raise LabError(f"{run.name} was played by hand; `{chosen[0].replay}` starts the same phones")
    selection = Selection(
        mode=Mode.DEFECTS if run.is_planted else Mode.CHAOS,
        ids=frozenset(one.id for one in chosen),
        plans=frozenset(one.directory.name for one in chosen),
        is_small=any(SMALL_OPTION in shlex.split(one.replay) for one in chosen),
    )
    return Campaign(selection=selection, driver=run.driver, seed=int(run.seed), patch=_patch(run))


def _patch(run: RunRecord) -> Path | None:
    """The copy that the run kept, wherever the run lies now; else the file that it was given."""
    if not run.patch:
        return None
    kept = (run.directory / PATCH_FILE).resolve()  # `reports/latest` is another run as soon as this one begins
    return kept if kept.is_file() else Path(run.patch)


def _chosen(run: RunRecord, scenario: str) -> list[ScenarioRecord]:
    chosen = [one for one in run.scenarios if not scenario or _is_called(one, scenario)]
    if not chosen:
        known = ", ".join(one.label for one in run.scenarios)
        raise LabError(f"{run.name} has no scenario {scenario!r}; it has {known or 'none'}")
    return chosen


def _is_called(scenario: ScenarioRecord, name: str) -> bool:
    return name in (scenario.label, scenario.id, scenario.directory.name, scenario.anchor)
