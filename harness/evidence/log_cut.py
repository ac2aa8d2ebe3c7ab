"""Log cuts: a stack outlives a scenario, so what a scenario keeps of its logs is what was written since it began."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LogCut:
    """How long each log of a stack was at one moment, in bytes; a log that did not exist then counts from its start."""

    logs: Path
    sizes: dict[str, int]

    @classmethod
    def now(cls, logs: Path) -> LogCut:
        """Mark this moment."""
        return cls(logs=logs, sizes={path.name: path.stat().st_size for path in logs.glob("*.log")})

    def save(self, into: Path) -> None:
        """Write what was added since, one file a log, over what was saved before."""
        into.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.logs.glob("*.log")):
            with path.open("rb") as file:
                file.seek(self.sizes.get(path.name, 0))
                (into / path.name).write_bytes(file.read())
