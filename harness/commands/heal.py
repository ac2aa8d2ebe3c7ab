"""`lab heal`: undo what was injected."""

from __future__ import annotations

from pathlib import Path

from harness.play import place
from harness.play.channel import ask
from harness.report.live import lab_console

PATIENCE_S = 180.0


def heal() -> None:
    """Undo every fault that is on, the last one first, and see its target whole."""
    console = lab_console()
    told = ask(Path(place.require().socket), {"do": "heal"}, say=console.print, timeout_s=PATIENCE_S)
    console.print(f"healed: {', '.join(told['healed']) or 'nothing was on'}")
