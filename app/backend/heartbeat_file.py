"""A small file by which a process says that it is alive; the health commands read it.

Stamps in it are `time.monotonic()`: that clock is the machine's, so another process can compare it with its own, and a
wall clock that jumps makes nothing look stale. Imports neither Django nor Celery.
"""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.env import Config
from backend.service import Service


@dataclass(frozen=True, slots=True)
class HeartbeatFile:
    """The heartbeat of one replica of one service."""

    path: Path

    def write(self, **facts: float) -> None:
        """Replace the content in one step, so that a reader never sees half of it."""
        fresh = self.path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(facts))
        fresh.replace(self.path)

    def read(self) -> dict[str, Any] | None:
        """What was written last; None when there is nothing readable."""
        try:
            facts = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return None
        return facts if isinstance(facts, dict) else None


def heartbeat_file(service: Service, settings: Config) -> HeartbeatFile:
    """Where the replica with these settings keeps its heartbeat: in HEARTBEAT_DIR, else in the temp directory."""
    folder = Path(settings.heartbeat_dir or tempfile.gettempdir())
    return HeartbeatFile(folder / f"{service.value}-{settings.service_name}.heartbeat")
