"""The output of one replica, kept in a file as it comes: a container that is recreated takes its log with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from docker.models.containers import Container

DRAIN_TIMEOUT_S = 10.0


class LogPump:
    """Follows a replica over all its incarnations."""

    def __init__(self, path: Path) -> None:
        """Lines are appended to `path`, which is created."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._last_stamp = b""
        self._thread: threading.Thread | None = None

    def follow(self, container: Container) -> None:
        """Follow the incarnation that has just been started, until it ends. What was read before is not read again."""
        self.drain()
        self._thread = threading.Thread(target=self._pump, args=(container,), name=f"log {self.path.stem}", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Wait until everything that an ended incarnation said is in the file. Bounded in time."""
        if self._thread is not None:
            self._thread.join(DRAIN_TIMEOUT_S)

    def lines(self) -> Sequence[str]:
        """All lines so far."""
        return self.path.read_text(encoding="utf-8", errors="replace").splitlines()

    def _pump(self, container: Container) -> None:
        since = datetime.fromisoformat(self._last_stamp[:19].decode()).replace(tzinfo=UTC) if self._last_stamp else None
        stream = container.logs(stream=True, follow=True, timestamps=True, since=since)
        with self.path.open("ab") as file:
            for line in _lines(stream):
                stamp, _, text = line.partition(b" ")
                if stamp > self._last_stamp:
                    self._last_stamp = stamp
                    file.write(text + b"\n")
                    file.flush()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
