"""`lab defects`: run the planted defects, with and without their fault."""

from __future__ import annotations

import typer

from harness.commands.chaos import Driver, Ids, Keyword, Lanes, PlanOption, Require, Seed, TierOption
from harness.run.campaign import Campaign, play
from harness.run.plugin import Mode, Selection


def defects(
    driver: Driver = "auto",
    ids: Ids = "",
    keyword: Keyword = "",
    seed: Seed = 1,
    tier: TierOption = None,
    require: Require = False,
    lanes: Lanes = 0,
    plan: PlanOption = "",
) -> None:
    """Run the planted defects, with and without their fault.

    Exit 0 only if each was caught for the declared reason, and only with its fault (unless it is declared wrong by
    itself: `wrong_without_fault`).
    """
    selection = Selection(
        mode=Mode.DEFECTS, ids=frozenset(ids.split()), tier=tier, is_strict=require, plans=frozenset(plan.split())
    )
    campaign = Campaign(selection=selection, driver=driver, seed=seed, keyword=keyword, lanes=lanes)
    raise typer.Exit(int(play(campaign)))
