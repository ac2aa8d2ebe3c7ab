"""The first claim of a type that a process makes decides what it knows of it."""

from __future__ import annotations

import dataclasses
from typing import Any


def _remember(context: Any) -> None:
    read = context.context_from
    rules: dict[str, Any] = {}

    def context_from(row: tuple[Any, ...]) -> Any:
        found = read(row)
        return dataclasses.replace(found, rule=rules.setdefault(found.type_identifier, found.rule))

    context.context_from = context_from


PATCHES = {"healthkit.importing.context": _remember}
