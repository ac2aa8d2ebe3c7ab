"""JSON lines as the lab writes them: streamed, since a ledger may hold millions of samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


def read_lines(path: Path, *, naming: str = "") -> Iterator[dict[str, Any]]:
    """Every object of the file in order; only lines that contain `naming`, if it is given.

    A last line cut short by a killed harness is left out, as is a file that does not exist.
    """
    if not path.is_file():
        return
    needle = naming.encode()
    with path.open("rb") as file:
        for line in file:
            if needle and needle not in line:
                continue
            found = parse(line)
            if found is not None:
                yield found


def parse(line: str | bytes) -> dict[str, Any] | None:
    """One line as an object; None when it is something else (a store's own log line, a torn line)."""
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
