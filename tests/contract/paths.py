"""A harmed path as a client sees it: connect, round trips with their time, and what a silent connection hears."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.clock import wait_for
from harness.drivers.protocol import Link
from tests.contract.echo_server import EchoServer

PATIENCE_S = 60.0
SILENCE_S = 0.3
"""How long nothing must be heard; a hundred times a round trip of an unharmed link."""


@dataclass(frozen=True, slots=True)
class HarmedPath:
    """One link, where its clients connect to, and the server behind it."""

    link: Link
    port: int
    server: EchoServer

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """A new connection through the link, proven to pass."""
        with self.raw_connection() as client:
            assert round_trip(client, b"hello") == b"hello"
            yield client

    @contextmanager
    def raw_connection(self) -> Iterator[socket.socket]:
        """A new connection through the link, nothing proven."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield client

    def passes(self) -> bool:
        """Whether a new connection gets an answer."""
        try:
            with self.raw_connection() as client:
                return round_trip(client, b"anyone?") == b"anyone?"
        except OSError:
            return False

    def await_passing(self) -> None:
        """Wait until new connections pass."""
        wait_for(self.passes, awaiting="a new connection to pass", timeout_s=PATIENCE_S)


def round_trip(client: socket.socket, message: bytes) -> bytes:
    """Send, and read back as many bytes."""
    client.sendall(message)
    return read_exactly(client, len(message))


def read_exactly(client: socket.socket, size: int) -> bytes:
    """`size` bytes, or fewer when the connection ends."""
    parts = b""
    while len(parts) < size:
        part = client.recv(size - len(parts))
        if not part:
            break
        parts += part
    return parts


def took_s(client: socket.socket, message: bytes) -> float:
    """How long a round trip takes, in seconds; the answer is checked."""
    began = time.monotonic()
    assert round_trip(client, message) == message
    return time.monotonic() - began


def is_silent(client: socket.socket) -> bool:
    """Whether nothing comes on the connection for a while: no byte, no end, no reset."""
    client.settimeout(SILENCE_S)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE_S)
    return False


def is_turned_away(port: int) -> bool:
    """Whether a new connection ends, in order or by a reset, before anything else comes."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
            return client.recv(1) == b""
    except ConnectionResetError:
        return True


def is_clogged(client: socket.socket) -> bool:
    """Send without reading until nothing more can be sent."""
    try:
        for _ in range(10_000):
            client.sendall(b"d" * 65_536)
    except TimeoutError:
        return True
    return False


def quickest_s(client: socket.socket, message: bytes, *, trips: int = 5) -> float:
    """The quickest of some round trips: what a link demands is in each of them, what the machine demands is not."""
    return min(took_s(client, message) for _ in range(trips))
