"""A page in Prometheus' text format, as the app's /metrics tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r"(?P<name>app_\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(?P<name>\w+)="(?P<value>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Figure:
    """One value; `label` holds the values of its labels in the order of their names, with commas; empty for none."""

    name: str
    label: str
    value: float


def figures(text: str) -> Iterator[Figure]:
    """The app's own figures, in order; comments and other names are left out."""
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is not None:
            labels = sorted(_LABEL.findall(found["labels"] or ""))
            yield Figure(found["name"], ",".join(value for _, value in labels), float(found["value"]))
