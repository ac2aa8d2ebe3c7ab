"""`lab status`: what the stack that is up is doing now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from harness.play import place
from harness.play.channel import ask
from harness.report.live import lab_console

UNKNOWN = "unknown"
STYLES = {"healthy": "green", "unhealthy": "yellow", "down": "red", "frozen": "blue", "starting": "dim"}


def status(as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False) -> None:
    """Services, queues, what workers run and hold, chunks by state, phones, faults that are on."""
    found = ask(Path(place.require().socket), {"do": "status"}, say=lambda _: None, timeout_s=60.0)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = lab_console()
    console.print(_services(found))
    for line in work_lines(found):
        console.print(line)
    for fault in found["faults"]:
        console.print(f"fault {fault['fault']}: {'healed' if fault['is_healed'] else 'ON'}")
    for alarm in found["alarms"]:
        console.print(f"alarm: {alarm}", style="yellow")
    for problem in [*found["problems"], *found["errors"]]:
        console.print(f"problem: {problem}", style="red")


def _services(found: Mapping[str, Any]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=f"{found['name']} on {found['driver']}", title_justify="left"
    )
    for name in ("service", "state", "processes", "connections", "address"):
        table.add_column(name)
    connections = found.get("connections", {})
    for name, one in found["services"].items():
        held = str(connections.get(name.partition("-")[0], "")) if name.endswith("-1") else ""
        state = Text(one["state"], style=STYLES.get(one["state"], ""))
        table.add_row(name, state, str(one["processes"]), held, found["api_urls"].get(name, ""))
    return table


def work_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Messages, chunks and phones; what a store that is away would have told is unknown, not zero."""
    queues = ", ".join(f"{name} {depth}" for name, depth in found["queues"].items()) if "queues" in found else UNKNOWN
    yield f"queued: {queues} · handed to workers, not confirmed: {_count(found, 'unacked')}"
    running = found.get("running")
    beyond = max(0, found["unacked"] - len(running)) if running is not None and "unacked" in found else UNKNOWN
    active = UNKNOWN if running is None else len(running)
    yield f"active chunks: {active} · not confirmed beyond them (reserved, or other tasks): {beyond}"
    for one in running or ():
        yield f"  {one['worker']}: chunk {one['chunk']} of batch {one['batch']}, for {one['for_s']} s"
    for name in ("chunks", "batches"):
        states = ", ".join(f"{state} {count:,}" for state, count in sorted(found.get(name, {}).items()))
        yield f"{name}: {states or ('none' if name in found else UNKNOWN)}"
    state = "sending or waiting" if found["is_sending"] else "done"
    yield (
        f"phones: {found['phones']} ({state}) · samples attempted {found['attempted']:,}, "
        f"acknowledged {found['acknowledged']:,} · records {_count(found, 'records')} · "
        f"dead letters {_count(found, 'dead_letters')}"
    )


def _count(found: Mapping[str, Any], name: str) -> str:
    return f"{found[name]:,}" if name in found else UNKNOWN
