"""`lab inject`: break the stack that is up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from harness.errors import LabError
from harness.play import place
from harness.play.channel import ask
from harness.play.menu import MENU
from harness.report.live import lab_console

PATIENCE_S = 180.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def inject(
    fault: Annotated[str, typer.Argument(help="one of the names that it prints when none is given")] = "",
    service: Annotated[str, typer.Option(help="service, replica, store, or a path such as worker:redis")] = "",
    duration: Annotated[str, typer.Option("--for", help="heal after this long, e.g. 20s; else by `lab heal`")] = "",
) -> None:
    """Do harm and show the receipt: what was seen before and after, from outside the app."""
    console = lab_console()
    if not fault:
        console.print(menu_table())
        return
    if fault not in MENU:
        raise LabError(f"no fault {fault!r}; there are {', '.join(MENU)}")
    for_s = parse_duration(duration) if duration else None
    request = {"do": "inject", "fault": fault, "service": service, "for_s": for_s}
    told = ask(Path(place.require().socket), request, say=console.print, timeout_s=PATIENCE_S + (for_s or 0.0))
    console.print(f"receipt of {told['fault']}, {told['source']}:")
    console.print(f"  before: {told['before']}\n  after:  {told['after']}")
    if not told["is_healed"]:
        console.print("it lasts until `lab heal`")


def parse_duration(text: str) -> float:
    """`20s`, `500ms`, `2m` or `20` as seconds. Raises: LabError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise LabError(f"expected a duration such as 20s, 500ms or 2m, seen {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def menu_table() -> Table:
    """What can be injected."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("fault", "what it does", "--service", "default"):
        table.add_column(name)
    for name, dish in MENU.items():
        table.add_row(name, dish.title, dish.takes, dish.service)
    return table
