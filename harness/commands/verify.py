"""`lab verify`: the checkers' verdict on what the phones did to the stack that is up."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.text import Text

from harness.play import place
from harness.play.channel import ask
from harness.report.live import VERDICT_STYLES, lab_console

PATIENCE_S = 900.0


def verify() -> None:
    """Heal, wait until nothing is in flight, and check every sample. Exit: 0 VALID, 1 INVALID, 2 INCONCLUSIVE."""
    console = lab_console()
    told = ask(Path(place.require().socket), {"do": "verify"}, say=console.print, timeout_s=PATIENCE_S)
    console.print(f"report: {told['report']}")
    counts = ", ".join(f"{count:,} {name}" for name, count in told["counts"].items())
    line = Text(told["verdict"], style=VERDICT_STYLES.get(told["verdict"], ""))
    line.append(f": {counts}" + (f"; {told['reason']}" if told["reason"] else ""), style="not bold")
    console.print(line)
    raise typer.Exit(int(told["exit_code"]))
