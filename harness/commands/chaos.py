"""`lab chaos`: run the scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.rows.row import Tier
from harness.run.campaign import Campaign, play
from harness.run.plugin import SMALL_OPTION, Mode, Selection

Driver = Annotated[str, typer.Option(help="auto, containers or processes")]
Ids = Annotated[
    str, typer.Option(help="exact catalogue ids or variants, e.g. 'W1 S2\\[alone]'; the control is always added")
]
Keyword = Annotated[str, typer.Option("--keyword", "-k", help="pytest's -k")]
Seed = Annotated[int, typer.Option(help="everything random derives from it")]
TierOption = Annotated[
    Tier | None,
    typer.Option(
        help="fast: what gates a pull request; core: fast and what every stack must survive; rest: what core leaves out"
    ),
]
Require = Annotated[bool, typer.Option("--require", help="a skip for a missing capability is no pass")]
Lanes = Annotated[
    int, typer.Option(help="scenarios side by side; 0: one per core (containers: per two cores), at most 4")
]
PlanOption = Annotated[str, typer.Option("--plan", help="one plan by its directory's name, e.g. W1-warm")]


def chaos(
    driver: Driver = "auto",
    ids: Ids = "",
    keyword: Keyword = "",
    seed: Seed = 1,
    patch: Annotated[Path | None, typer.Option(help="a diff under app/ to catch; caught = exit 1")] = None,
    tier: TierOption = None,
    require: Require = False,
    lanes: Lanes = 0,
    plan: PlanOption = "",
    small: Annotated[
        bool,
        typer.Option(
            SMALL_OPTION,
            help="about a quarter of the samples, the smallest rows as they are: for writing scenarios, or in a hurry",
        ),
    ] = False,
) -> None:
    """Run the scenarios. Exit: 0 VALID, 1 INVALID, 2 INCONCLUSIVE, 3 the lab itself failed."""
    selection = Selection(
        mode=Mode.CHAOS,
        ids=frozenset(ids.split()),
        tier=tier,
        is_strict=require,
        plans=frozenset(plan.split()),
        is_small=small,
    )
    campaign = Campaign(selection=selection, driver=driver, seed=seed, keyword=keyword, patch=patch, lanes=lanes)
    raise typer.Exit(int(play(campaign)))
