"""`lab load`: a load run with the lab's verdict."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated

import typer

from harness.commands.chaos import Driver, Seed
from harness.errors import LabError
from harness.load.elsewhere import Elsewhere, checked_url
from harness.load.order import FULL_PHONE, LoadOrder, share_of
from harness.load.run import LoadRun, start
from harness.load.scene import Scene
from harness.load.shapes import DEFAULT_RATE_PER_S, DEFAULT_RUN_TIME_S, LoadShape


def load(
    driver: Driver = "auto",
    users: Annotated[int, typer.Option(help="most phones that arrive; 0: as many as the rate brings")] = 0,
    rate: Annotated[float, typer.Option(help="phones per second when the shape is at its full; 0: its own")] = 0.0,
    run_time: Annotated[float, typer.Option(help="seconds in which phones arrive; 0: the shape's own")] = 0.0,
    shape: Annotated[LoadShape, typer.Option(help="how the rate goes")] = LoadShape.STEADY,
    share: Annotated[float, typer.Option(help="part of its 30 days that a phone sends; 0: by the run's length")] = 0.0,
    fault: Annotated[str, typer.Option(help="a row of the catalogue, played in the middle: W6, B1, B2 …")] = "",
    planted: Annotated[str, typer.Option(help="a planted defect: no_sweeper …")] = "",
    processes: Annotated[int, typer.Option(help="Locust processes; one fills about one core")] = 1,
    target: Annotated[str, typer.Option(help="URL of a stack that runs already; judged by what its API shows")] = "",
    in_compose: Annotated[bool, typer.Option("--in-compose", help="Locust in containers, for --target")] = False,
    ui: Annotated[bool, typer.Option("--ui", help="open Locust's web page on loopback while it runs")] = False,
    accept_p95_ms: Annotated[float, typer.Option(help="bound; 0: the stack's publish bound")] = 0.0,
    per_chunk_p95_s: Annotated[float, typer.Option(help="bound, end to end; 0: the stack's overdue time")] = 0.0,
    seed: Seed = 1,
) -> None:
    """Load the stack with backfilling phones. Exit: 0 VALID, 1 INVALID, 2 INCONCLUSIVE, 3 the lab itself failed."""
    run_time_s = run_time or DEFAULT_RUN_TIME_S[shape]
    order = LoadOrder(
        seed=seed,
        shape=shape,
        rate_per_s=rate or DEFAULT_RATE_PER_S[shape],
        users=users or None,
        run_time_s=run_time_s,
        samples_per_phone=round(FULL_PHONE * (share or share_of(run_time_s))),
        targets={},
        directory="",
        processes=processes,
        run=f"load{secrets.token_hex(3)}" if target else "load",
        patience_s=240.0 + 3 * run_time_s,
    )
    replay = ("lab", *sys.argv[1:])
    accept_p95_s, chunk_p95_s = accept_p95_ms / 1000 or None, per_chunk_p95_s or None
    if ui and in_compose:
        raise LabError("--ui wants Locust in processes of the lab's own; with --in-compose there is no web page")
    if target:
        if fault or planted:
            raise LabError("FAULT and PLANTED want a stack of the lab's own; they cannot be used with TARGET")
        elsewhere = Elsewhere(
            order=order,
            url=checked_url(target),
            ui=ui,
            in_compose=in_compose,
            accept_p95_s=accept_p95_s,
            per_chunk_p95_s=chunk_p95_s,
        )
        raise typer.Exit(int(start(elsewhere)))
    if in_compose:
        raise LabError("--in-compose wants --target; on a stack of the lab's own Locust runs in processes")
    scene = Scene(
        order=order, fault=fault, planted=planted, ui=ui, accept_p95_s=accept_p95_s, per_chunk_p95_s=chunk_p95_s
    )
    raise typer.Exit(int(start(LoadRun(scene=scene, driver=driver, replay=replay))))
