"""`lab scenarios`: what can be run."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from harness.report.glossary import family
from harness.report.live import lab_console
from harness.rows.catalogue import Listed, all_rows


def scenarios(as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False) -> None:
    """List every scenario with its tier, what it needs, and the defects that must turn it INVALID."""
    listed = sorted(all_rows(), key=lambda one: one.order)
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in listed], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("scenario", "family", "what", "tier", "needs", "planted defects"):
        table.add_column(name, overflow="fold", no_wrap=name == "scenario")
    for one in listed:
        plain = _plain(one)
        row = (str(plain[name]) for name in ("scenario", "family", "title", "tier"))
        table.add_row(*row, ", ".join(plain["needs"]), ", ".join(plain["defects"]))
    lab_console().print(table)


def _plain(one: Listed) -> dict[str, list[str] | str]:
    return {
        "scenario": one.row.label(),
        "family": family(one.row.id),
        "title": one.row.title,
        "tier": str(one.row.tier),
        "needs": [str(need) for need in one.row.needs],
        "defects": [planted.defect.name for planted in one.row.defects],
        "test": one.test,
    }
