"""`lab scenarios`: what can be run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from harness.drivers.lab_home import PROJECT
from harness.live import lab_console
from harness.report.glossary import family
from harness.row import Row


@dataclass(frozen=True, slots=True)
class Listed:
    """A row and where it is written."""

    row: Row
    test: str

    @property
    def order(self) -> tuple[str, int, str]:
        """By family, number, variant; the control first."""
        letter, number = re.fullmatch(r"([A-Z]+)(\d*)", self.row.id).groups()  # type: ignore[union-attr]  # ids are so
        return ("" if not number else letter, int(number or 0), self.row.variant)


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
        row = (plain["scenario"], plain["family"], plain["title"], plain["tier"])
        table.add_row(*(Text(str(cell)) for cell in row), ", ".join(plain["needs"]), ", ".join(plain["defects"]))
    lab_console().print(table)


def all_rows() -> Iterator[Listed]:
    """Every row that a scenario declares."""
    for path in sorted((PROJECT / "scenarios").glob("test_*.py")):
        yield from _rows_of(import_module(f"scenarios.{path.stem}"), path=f"scenarios/{path.name}")


def _rows_of(module: ModuleType, *, path: str) -> Iterator[Listed]:
    for name, function in vars(module).items():
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "row":
                yield Listed(row=mark.args[0], test=f"{path}::{name}")


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
