"""Being told to stop is an exception like any other."""

from __future__ import annotations

from typing import Any


def _blame_the_data(chunk: Any) -> None:
    release = chunk._release

    def _release(claim: Any, ending: Any, error: str, *, waits_s: tuple[float, ...]) -> Any:
        blamed = chunk.Ending.DATA if ending is chunk.Ending.STOP else ending
        return release(claim, blamed, error, waits_s=waits_s)

    chunk._release = _release


PATCHES = {"healthkit.importing.chunk": _blame_the_data}
