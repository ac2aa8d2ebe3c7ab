"""`lab up`: a stack to play with, that stays up in the background."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.clock import wait_for
from harness.drivers.lab_home import PROJECT
from harness.errors import LabError
from harness.live import lab_console
from harness.play import place
from harness.play.channel import ask
from harness.play.round import Order

READY_TIMEOUT_S = 1_500.0
"""Images may have to be built first; what is being done is printed meanwhile."""


def up(
    driver: Annotated[str, typer.Option(help="auto, containers or processes")] = "auto",
    phones: Annotated[int, typer.Option(min=0, help="simulated phones that submit a 30-day backfill")] = 0,
    samples: Annotated[int, typer.Option(min=100, help="samples per phone")] = 2_000,
    pace: Annotated[float, typer.Option(min=0.0, help="seconds a phone waits before each request")] = 0.2,
    seed: Annotated[int, typer.Option(help="everything random derives from it")] = 1,
) -> None:
    """Start a stack that stays up, with n phones; when one is up already, bring n phones to it for another round."""
    console = lab_console()
    running = place.find()
    if running is not None:
        request = {"do": "phones", "phones": phones, "samples": samples, "pace_s": pace}
        ask(Path(running.socket), request, say=console.print, timeout_s=60.0)
        console.print(f"the stack was up; {phones} phones begin")
        return
    _start(Order(driver=driver, phones=phones, samples=samples, pace_s=pace, seed=seed), console)
    console.print("up. Next: lab status · lab inject kill --service worker --for 5s · lab verify · lab down")


def _start(order: Order, console: Console) -> None:
    """Start the keeper detached and wait until it listens. Raises: LabError with the tail of its log."""
    log = place.play_home() / place.LOG_FILE
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "harness.play.keeper", json.dumps(asdict(order))],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    shown = 0

    def is_ready() -> bool:
        nonlocal shown
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[shown:]:
            console.print(line, markup=False)
        shown = len(lines)
        if keeper.poll() is not None:
            raise LabError(f"the keeper ended with {keeper.returncode} before the stack was up; its log: {log}")
        return place.find() is not None

    wait_for(is_ready, awaiting="the stack to be up", timeout_s=READY_TIMEOUT_S, interval_s=0.2, seen=lambda: str(log))
