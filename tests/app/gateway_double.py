"""A reminder gateway that remembers every request and answers what it is told to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.app.waiting import PATIENCE_S


@dataclass(slots=True)
class GatewayDouble:
    """Requests in order of arrival; `statuses` are answered in turn, the last one for ever.

    A redirect leads to a page that is there, unless told `elsewhere`; `pages_read` counts who went.
    """

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pages_read: int = 0
    elsewhere: str | None = None
    barrier: threading.Barrier | None = None

    def answer(self, key: str, body: dict[str, Any]) -> int:
        """Remember one request; the status to answer."""
        self.requests.append((key, body))
        if self.barrier is not None:
            self.barrier.wait(PATIENCE_S)
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@contextmanager
def gateway_double() -> Iterator[GatewayDouble]:
    """Listens on a port of the loopback until the end."""
    double = GatewayDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(double.answer(self.headers["Idempotency-Key"], body))

        def do_GET(self) -> None:
            double.pages_read += 1
            self._answer(HTTPStatus.OK)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Location", double.elsewhere or f"{double.url}/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        double.url = f"http://127.0.0.1:{server.server_address[1]}/send"
        yield double
        server.shutdown()
