"""`lab status`: what the stack that is up is doing now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from harness.live import lab_console
from harness.play import place
from harness.play.channel import ask

STYLES = {"healthy": "green", "unhealthy": "yellow", "down": "red", "frozen": "blue", "starting": "dim"}


def status(as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False) -> None:
    """Services, queues, what workers run and hold, chunks by state, phones, faults that are on."""
    found = ask(Path(place.require().socket), {"do": "status"}, say=lambda _: None, timeout_s=60.0)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = lab_console()
    console.print(_services(found))
    queues = ", ".join(f"{name} {depth}" for name, depth in found.get("queues", {}).items())
    console.print(
        f"queued: {queues or 'unknown'} · handed to workers, not confirmed: {found.get('unacked', 'unknown')}"
    )
    running = found.get("running", [])
    reserved = max(0, int(found.get("unacked", 0)) - len(running))
    console.print(f"active chunks: {len(running)} · reserved or other messages: {reserved}")
    for one in running:
        console.print(f"  {one['worker']}: chunk {one['chunk']} of batch {one['batch']}, for {one['for_s']} s")
    for name in ("chunks", "batches"):
        states = ", ".join(f"{state} {count:,}" for state, count in sorted(found.get(name, {}).items()))
        console.print(f"{name}: {states or 'none'}")
    console.print(_phones(found))
    for fault in found["faults"]:
        console.print(f"fault {fault['fault']}: {'healed' if fault['is_healed'] else 'ON'}")
    for alarm in found["alarms"]:
        console.print(f"alarm: {alarm}", style="yellow", markup=False)
    for problem in [*found["problems"], *found["errors"]]:
        console.print(f"problem: {problem}", style="red", markup=False)


def _services(found: Mapping[str, Any]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=f"{found['name']} on {found['driver']}", title_justify="left"
    )
    for name in ("service", "state", "processes", "connections", "address"):
        table.add_column(name)
    connections = found.get("connections", {})
    for name, one in found["services"].items():
        held = str(connections.get(name.partition("-")[0], "")) if name.endswith("-1") else ""
        state = f"[{STYLES.get(one['state'], '')}]{one['state']}[/]"
        table.add_row(name, state, str(one["processes"]), held, found["api_urls"].get(name, ""))
    return table


def _phones(found: Mapping[str, Any]) -> str:
    state = "sending or waiting" if found["is_sending"] else "done"
    return (
        f"phones: {found['phones']} ({state}) · samples attempted {found['attempted']:,}, "
        f"acknowledged {found['acknowledged']:,} · records {found.get('records', 0):,} · "
        f"dead letters {found.get('dead_letters', 0)}"
    )
