"""Phones that vanish while they send a request: nothing more comes, and nobody says that it is over."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.devices.client import GRAPHQL_PATH
from harness.drivers.protocol import Stack

CONNECT_TIMEOUT_S = 5.0
DECLARED_BYTES = 1_000
_BODY = b'{"query": "'


@dataclass(slots=True)
class AbandonUploads:
    """To each replica so many connections, each with whole headers and the beginning of a body.

    Blast radius: whoever waits for the rest. Heals by closing them.
    """

    each: int
    target: str = "api"
    source: str = "the lab's own ends of the connections"
    bite_timeout_s: float = 5.0
    name: str = "abandon_uploads"
    leaves_as_new: bool = True
    _open: list[socket.socket] = field(default_factory=list)

    def look(self, stack: Stack) -> str:
        """How many there are, and how many of them the API has answered or closed."""
        return f"{len(self._open)} uploads, {len(self._open) - self.waiting()} ended"

    def inject(self, stack: Stack) -> None:
        """Connect, and say half of it."""
        for url in stack.api_urls().values():
            parts = urlsplit(url)
            head = (
                f"POST {GRAPHQL_PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {DECLARED_BYTES}\r\n\r\n"
            )
            for _ in range(self.each):
                address = (str(parts.hostname), int(str(parts.port)))
                self._open.append(socket.create_connection(address, timeout=CONNECT_TIMEOUT_S))
                self._open[-1].sendall(head.encode() + _BODY)
                self._open[-1].setblocking(False)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """They are open, and somebody waits for each."""
        return now != before and now.endswith(" 0 ended")

    def waiting(self) -> int:
        """For how many the API still waits."""
        return sum(not _has_ended(each) for each in self._open)

    def heal(self, stack: Stack) -> None:
        """Close them."""
        for each in self._open:
            with suppress(OSError):
                each.close()
        self._open = []

    def is_whole(self, stack: Stack) -> bool:
        """None is open."""
        return not self._open


def _has_ended(connection: socket.socket) -> bool:
    """Answered, closed or reset by the other side."""
    try:
        connection.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    return True
