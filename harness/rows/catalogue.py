"""The catalogue: every row that a scenario declares, and where it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from harness.lab_home import PROJECT
from harness.rows.row import Row


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


def all_rows() -> Iterator[Listed]:
    """Every row that a scenario declares."""
    for path in sorted((PROJECT / "scenarios").glob("test_*.py")):
        yield from _rows_of(import_module(f"scenarios.{path.stem}"), path=f"scenarios/{path.name}")


def _rows_of(module: ModuleType, *, path: str) -> Iterator[Listed]:
    for name, function in vars(module).items():
        for mark in getattr(function, "pytestmark", []):
            if mark.name == "row":
                yield Listed(row=mark.args[0], test=f"{path}::{name}")
