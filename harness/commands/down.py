"""`lab down`: end the stack that is up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.clock import wait_for
from harness.drivers.container.leftovers import undo_container_leftovers
from harness.errors import LabError
from harness.lab_home import lab_home
from harness.play import place
from harness.play.channel import ask
from harness.report.live import lab_console

DOWN_TIMEOUT_S = 120.0


def down(
    everything: Annotated[bool, typer.Option("--all", help="also what killed labs of this clone left behind")] = False,
) -> None:
    """End the stack and the phones, and remove everything that they started, volumes too. Idempotent."""
    console = lab_console()
    running = place.find()
    if running is None:
        if place.is_claimed():
            raise LabError(place.UNDER_WAY)
        console.print("no stack is up")
    else:
        ask(Path(running.socket), {"do": "down"}, say=console.print, timeout_s=DOWN_TIMEOUT_S)
        wait_for(
            lambda: not running.is_alive,
            awaiting="the keeper to end",
            timeout_s=DOWN_TIMEOUT_S,
            interval_s=0.1,
            seen=lambda: f"it still runs as process {running.pid}; its log: {running.log}",
        )
        console.print("down")
    if everything:
        for one in undo_container_leftovers(lab_home()):
            console.print(f"undone: what {one.lab} left behind ({len(one.pids)} processes)")
