"""`lab down`: end the stack that is up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.clock import wait_for
from harness.drivers.container_leftovers import undo_container_leftovers
from harness.drivers.lab_home import lab_home
from harness.live import lab_console
from harness.play import place
from harness.play.channel import ask

DOWN_TIMEOUT_S = 120.0


def down(
    everything: Annotated[
        bool, typer.Option("--all", help="also what killed labs left behind on this machine")
    ] = False,
) -> None:
    """End the stack and the phones, and remove everything that they started, volumes too. Idempotent."""
    console = lab_console()
    running = place.find()
    if running is None:
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
            console.print(f"undone: what {one.lab} left behind ({len(one.pids)} processes)", markup=False)
