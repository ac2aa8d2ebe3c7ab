"""A store stand-in for the links' tests: sends back what it gets, can close every connection, counts what ended."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType


class EchoServer:
    """Listens while the block lasts; one thread a connection."""

    def __init__(self, port: int) -> None:
        """At 127.0.0.1:`port`, at once."""
        self._listener = socket.create_server(("127.0.0.1", port))
        self._connections: list[socket.socket] = []
        self.ended = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> EchoServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # Closing alone would not end the thread's accept.
        self._listener.close()
        self.close_all()

    def close_all(self, *, by_reset: bool = False) -> None:
        """Close every open connection, in order or by a reset."""
        for connection in self._connections:
            try:
                if by_reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.shutdown(socket.SHUT_RD)  # Wakes the thread, whose close is the reset.
                else:
                    connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # It is closed already.
        self._connections.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # The listener was closed.
            self._connections.append(connection)
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                self.ended += 1  # Reset, which is what some toxics do.
                return
        self.ended += 1
