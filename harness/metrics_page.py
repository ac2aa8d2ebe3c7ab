"""A page in Prometheus' text format, as the app's /metrics tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A line with no label, or one.
_LINE = re.compile(r'(?P<name>app_\w+)(?:\{\w+="(?P<label>[^"]*)"\})? (?P<value>\S+)$')


@dataclass(frozen=True, slots=True)
class Figure:
    """One value; `label` is the value of its one label, empty when it has none."""

    name: str
    label: str
    value: float


def figures(text: str) -> Iterator[Figure]:
    """The app's own figures, in order; comments, other names and figures with several labels are left out."""
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is not None:
            yield Figure(found["name"], found["label"] or "", float(found["value"]))
