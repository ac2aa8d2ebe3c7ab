"""The entries that a leader read first are its entries."""

from __future__ import annotations

from typing import Any


def _read_once(leadership: Any) -> None:
    leader = leadership.Leadership
    read = leader._read_entries

    def _read_entries(self: Any, now: Any) -> Any:
        if self._looked_at is None:
            self._entries = read(self, now)
        return self._entries

    leader._read_entries = _read_entries


PATCHES = {"scheduling.leadership": _read_once}
