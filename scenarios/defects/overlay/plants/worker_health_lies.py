"""Whoever reads a heartbeat finds it young. In a module that is imported: `python -m` executes its own, unplanted."""

from __future__ import annotations

import time
from typing import Any


def _find_it_young(heartbeat_file: Any) -> None:
    read = heartbeat_file.HeartbeatFile.read

    def young(file: Any) -> dict[str, Any] | None:
        facts = read(file)
        return facts and dict.fromkeys(facts, time.monotonic())

    heartbeat_file.HeartbeatFile.read = young


PATCHES = {"backend.heartbeat_file": _find_it_young}
