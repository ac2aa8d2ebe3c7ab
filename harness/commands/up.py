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
from harness.errors import LabError
from harness.interrupt import interruptible
from harness.lab_home import PROJECT
from harness.play import place
from harness.play.channel import ask
from harness.play.round import Order
from harness.report.live import lab_console

KEEPER = "harness.play.keeper"
READY_TIMEOUT_S = 1_500.0
"""Images may have to be built first; what is being done is printed meanwhile."""
END_TIMEOUT_S = 120.0


def up(
    driver: Annotated[str, typer.Option(help="auto, containers or processes")] = "auto",
    phones: Annotated[int, typer.Option(min=0, help="simulated phones that submit a 30-day backfill")] = 0,
    samples: Annotated[int, typer.Option(min=100, help="samples per phone")] = 2_000,
    pace: Annotated[float, typer.Option(min=0.0, help="seconds a phone waits after each call")] = 0.2,
    seed: Annotated[int, typer.Option(help="everything random derives from it")] = 1,
) -> None:
    """Start a stack that stays up, with n phones; when one is up already, bring n phones to it for another round."""
    console = lab_console()
    running = place.find()
    if running is not None:
        request = {"do": "phones", "phones": phones, "samples": samples, "pace_s": pace, "seed": seed}
        told = ask(Path(running.socket), request, say=console.print, timeout_s=60.0)
        console.print(f"the stack was up, on {told['driver']}; {phones} phones begin, with seed {seed}")
        if driver not in ("auto", told["driver"]):
            console.print(f"--driver {driver} changes nothing for a stack that is up; `lab down` ends it")
        return
    _start(Order(driver=driver, phones=phones, samples=samples, pace_s=pace, seed=seed), console)
    console.print("up. Next: lab status · lab inject kill --service worker --for 5s · lab verify · lab down")


def _start(order: Order, console: Console) -> None:
    """Start the keeper detached and wait until it listens; it ends when that fails or is interrupted.

    Raises: LabError when another keeper lives, when this one ended, or does not listen in time.
    """
    with place.claim() as lock, interruptible():
        log = place.play_home() / place.LOG_FILE
        with log.open("wb") as output:
            keeper = subprocess.Popen(
                [sys.executable, "-m", KEEPER, json.dumps(asdict(order))],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
        try:
            _await_ready(keeper, log, console)
        except BaseException:
            _end(keeper, console)
            raise


def _end(keeper: subprocess.Popen[bytes], console: Console) -> None:
    """Have it undo what it started. Raises: LabError when it does not end."""
    if keeper.poll() is not None:
        return
    console.print("ending what was started …")
    keeper.terminate()
    try:
        keeper.wait(timeout=END_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"the keeper, process {keeper.pid}, does not end; `lab down --all` undoes what it left"
        ) from error


def _await_ready(keeper: subprocess.Popen[bytes], log: Path, console: Console) -> None:
    shown = 0

    def is_ready() -> bool:
        nonlocal shown
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines[shown:]:
            console.print(line)
        shown = len(lines)
        if keeper.poll() is not None:
            raise LabError(f"the keeper ended with {keeper.returncode} before the stack was up; its log: {log}")
        return place.find() is not None

    wait_for(is_ready, awaiting="the stack to be up", timeout_s=READY_TIMEOUT_S, interval_s=0.2, seen=lambda: str(log))
