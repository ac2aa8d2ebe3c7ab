"""Whoever asks for the schedule gets what can be read, and is told of nothing else."""

from __future__ import annotations

from typing import Any


def _skip(user: Any) -> None:
    enabled = user.entries_enabled

    def entries_enabled() -> Any:
        good, _ = enabled()
        return good, {}

    user.entries_enabled = entries_enabled


PATCHES = {"scheduling.leadership": _skip, "backend.health.rows": _skip}
