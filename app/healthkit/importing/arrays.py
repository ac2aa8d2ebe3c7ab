"""Columns of a chunk as Postgres array literals: one text parameter each, several times cheaper than adapting lists."""

from collections.abc import Iterable


def array_literal(items: Iterable[str | None]) -> str:
    """The text form of an array, of any element type; None is NULL."""
    return "{" + ",".join(["NULL" if item is None else _quoted(item) for item in items]) + "}"


def _quoted(item: str) -> str:
    if "\\" in item or '"' in item:
        item = item.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{item}"'
