"""`lab replay`: play a run, or one scenario of it, again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from harness.campaign import Campaign, play
from harness.commands.report import find_run
from harness.errors import LabError
from harness.play.round import PLAY
from harness.plugin import SMALL_OPTION, Mode, Selection
from harness.report.record import RunRecord, ScenarioRecord, read

LOAD: Final = ["lab", "load"]
"""How the replay command of a load run begins."""


def replay(
    run: Annotated[Path, typer.Argument(help="a run's directory or its run.json")],
    scenario: Annotated[str, typer.Argument(help="as the report calls it, e.g. 'W1[warm]'; default: all of it")] = "",
) -> None:
    """Same seed, same devices and data, same points of the faults. Exit codes as those of `lab chaos`."""
    raise typer.Exit(int(play(campaign_of(read(find_run(run)), scenario=scenario))))


def campaign_of(run: RunRecord, *, scenario: str) -> Campaign:
    """The campaign that plays it again. Raises: LabError when there is nothing to replay."""
    chosen = [one for one in run.scenarios if _is_called(one, scenario)] if scenario else list(run.scenarios)
    if not chosen:
        known = ", ".join(one.label for one in run.scenarios)
        raise LabError(f"{run.name} has no scenario {scenario!r}; it has {known or 'none'}")
    if any(one.id == PLAY for one in chosen):
        raise LabError(f"{run.name} was played by hand; `lab up` with its seed, {run.seed}, starts the same phones")
    words = [shlex.split(one.replay) for one in chosen]
    if any(each[:2] == LOAD for each in words):
        raise LabError(f"{run.name} was a load run; `{chosen[0].replay}` plays it again")
    selection = Selection(
        mode=Mode.DEFECTS if run.is_planted else Mode.CHAOS,
        ids=frozenset(one.id for one in chosen),
        plans=frozenset(one.directory.name for one in chosen),
        is_small=any(SMALL_OPTION in each for each in words),
    )
    patch = Path(run.patch) if run.patch else None
    return Campaign(selection=selection, driver=run.driver, seed=int(run.seed), patch=patch)


def _is_called(scenario: ScenarioRecord, name: str) -> bool:
    return name in (scenario.label, scenario.id, scenario.directory.name, scenario.anchor)
