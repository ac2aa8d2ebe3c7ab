"""The reminder receiver: stands in for the push gateway, and remembers every request. Standard library only.

    python -m harness.receiver --listen 127.0.0.1:8900

POST /send        one reminder, as the app sends it; its key is the header Idempotency-Key
GET /received     every request so far, oldest first: [{"at", "key", "status", "body"}]; `at` is aware UTC, `status` is
                  what was answered, null when the connection was cut instead (the app cannot know that it arrived)
DELETE /received  forget them
GET /behaviour, PUT /behaviour    {"status": 200, "drop": false, "delay_s": 0.0}: what /send answers from now on, and
                  after how long (what is cut then is remembered at once); with a status of 3xx it names /health as
                  the new place, which answers 200 to whoever follows
GET /health       200

It does not fold repeats of a key together, as a real gateway would: whether the app relies on that is for the checker.
"""

from __future__ import annotations

import argparse
import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR

MAX_BODY_BYTES = 1024 * 1024
REDIRECTS = range(300, 400)
USUAL_BEHAVIOUR: dict[str, object] = {"status": 200, "drop": False, "delay_s": 0.0}


class Memory:
    """What was received, and how to answer; shared by the threads of all requests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[dict[str, object]] = []
        self._behaviour = dict(USUAL_BEHAVIOUR)
        self._changed = threading.Event()

    def note(self, *, key: str | None, body: object, status: int | None) -> None:
        """Remember one request."""
        with self._lock:
            self._received.append({"at": datetime.now(UTC).isoformat(), "key": key, "status": status, "body": body})

    def received(self) -> list[dict[str, object]]:
        """All requests, oldest first."""
        with self._lock:
            return list(self._received)

    def forget(self) -> None:
        """As after the start, behaviour too."""
        with self._lock:
            self._received.clear()
        self.behave({})

    def behaviour(self) -> dict[str, object]:
        """How /send answers at the moment."""
        with self._lock:
            return dict(self._behaviour)

    def behave(self, wanted: dict[str, object]) -> None:
        """Answer like this from now on; what is not named is as usual. Requests that are being delayed go on at once.

        Raises: ValueError for what it does not know.
        """
        unknown = set(wanted) - set(USUAL_BEHAVIOUR)
        if unknown:
            raise ValueError(f"unknown {sorted(unknown)}; known are {sorted(USUAL_BEHAVIOUR)}")
        with self._lock:
            self._behaviour = {**USUAL_BEHAVIOUR, **wanted}
            self._changed.set()
            self._changed = threading.Event()

    def delay(self, duration_s: float) -> None:
        """Hold a request back, until the behaviour changes at the latest."""
        with self._lock:
            changed = self._changed
        changed.wait(duration_s)


class Receiver(ThreadingHTTPServer):
    """The server with its memory."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int]) -> None:
        """Listens at once. Raises: OSError when the address is taken."""
        self.memory = Memory()
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        """A reminder."""
        body = self._body()
        if self.path != "/send":
            self._answer(HTTPStatus.NOT_FOUND, {"error": self.path})
            return
        behaviour = self.server.memory.behaviour()
        key, delay_s = self.headers.get("Idempotency-Key"), float(str(behaviour["delay_s"]))
        if behaviour["drop"]:
            self.server.memory.note(key=key, body=body, status=None)
            self.server.memory.delay(delay_s)
            self.close_connection = True
            with suppress(OSError):  # whoever asked may have gone
                self.connection.shutdown(SHUT_RDWR)
            return
        self.server.memory.delay(delay_s)
        status = int(str(behaviour["status"]))
        self.server.memory.note(key=key, body=body, status=status)
        self._answer(status, {"accepted": status < HTTPStatus.BAD_REQUEST})

    def do_GET(self) -> None:
        """What was received, how it behaves, whether it lives."""
        match self.path:
            case "/received":
                self._answer(HTTPStatus.OK, self.server.memory.received())
            case "/behaviour":
                self._answer(HTTPStatus.OK, self.server.memory.behaviour())
            case "/health":
                self._answer(HTTPStatus.OK, {"status": "ok"})
            case _:
                self._answer(HTTPStatus.NOT_FOUND, {"error": self.path})

    def do_PUT(self) -> None:
        """How to behave."""
        wanted = self._body()
        if self.path != "/behaviour" or not isinstance(wanted, dict):
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "PUT /behaviour takes a JSON object"})
            return
        try:
            self.server.memory.behave(wanted)
        except ValueError as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self._answer(HTTPStatus.OK, self.server.memory.behaviour())

    def do_DELETE(self) -> None:
        """Forget what was received, and how to behave."""
        if self.path != "/received":
            self._answer(HTTPStatus.NOT_FOUND, {"error": self.path})
            return
        self.server.memory.forget()
        self._answer(HTTPStatus.OK, {})

    def log_message(self, format: str, *args: object) -> None:
        """No access log: GET /received is the record."""

    def _body(self) -> object:
        """The JSON of the body, its text when it is none."""
        raw = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY_BYTES))
        try:
            content: object = json.loads(raw)
        except ValueError:
            content = raw.decode(errors="replace")
        return content

    def _answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status in REDIRECTS:
            self.send_header("Location", "/health")
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Command line; prints the address as one JSON line."""
    parser = argparse.ArgumentParser(description="Reminder receiver")
    parser.add_argument("--listen", default="127.0.0.1:8900", metavar="HOST:PORT")
    host, _, port = parser.parse_args().listen.rpartition(":")
    server = Receiver((host, int(port)))
    print(json.dumps({"receiver": f"http://{host}:{server.server_port}"}), flush=True)
    server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()
