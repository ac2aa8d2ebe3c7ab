"""Malformed requests: each arrives byte for byte, is noted, and any answer but its refusal is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest

from harness.devices.balancer import Balancer
from harness.devices.caller import Caller
from harness.devices.client import PhoneClient
from harness.devices.malformed import Malformed, malformed_half, malformed_of, send_malformed
from harness.ledger import Ledger

KINDS = malformed_of("r-u0/d0/malformed")
STATUS = {"BAD_REQUEST": 400, "TOO_LARGE": 413, "INTERNAL": 500}


class Server(HTTPServer):
    """Answers every request with one code; keeps what came."""

    code: str | None = "BAD_REQUEST"
    seen: list[tuple[bytes, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.seen.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers["Content-Type"]))
        code = self.server.code
        answer: Mapping[str, object] = {"errors": [{"extensions": {"code": code}}]} if code else {"data": {}}
        body = json.dumps(answer).encode()
        self.send_response(STATUS[code] if code else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.seen = []
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(5)


def wrong(server: Server, directory: Path, requests: tuple[Malformed, ...]) -> list[list[str]]:
    """What the ledger says about each."""
    client = PhoneClient(Balancer({"api-1": f"http://127.0.0.1:{server.server_port}"}), timeout_s=5.0)
    stop = threading.Event()
    stop.set()
    with Ledger(directory) as ledger:
        send_malformed(Caller(user="u", device="d", client=client, ledger=ledger, stop=stop, retry_for_s=0.0), requests)
    client.close()
    return [json.loads(line)["wrong"] for line in (directory / "ledger.jsonl").read_text().splitlines()]


def test_each_arrives_as_it_is(server: Server, tmp_path: Path) -> None:
    wrong(server, tmp_path, KINDS)
    assert server.seen == [(each.body, each.content_type) for each in KINDS]


@pytest.mark.parametrize(
    ("code", "is_right"), [("BAD_REQUEST", True), ("TOO_LARGE", False), ("INTERNAL", False), (None, False)], ids=str
)
def test_any_other_answer_is_wrong(server: Server, tmp_path: Path, code: str | None, is_right: bool) -> None:
    server.code = code
    requests = tuple(each for each in KINDS if each.refusal == "BAD_REQUEST")
    assert [not problems for problems in wrong(server, tmp_path, requests)] == [is_right] * len(requests)


def test_two_phones_send_every_kind() -> None:
    halves = [malformed_half("k", turn=turn) for turn in (0, 1)]
    assert [each.name for half in halves for each in half] == [each.name for each in malformed_of("k")]
    names = [each.name for each in KINDS]
    assert len(set(names)) == len(names)


def test_only_what_must_be_is_unreadable() -> None:
    """The rest is refused for what it asks, not for how it is written."""
    unreadable = set()
    for each in KINDS:
        try:
            orjson.loads(each.body)
        except ValueError:
            unreadable.add(each.name)
    assert unreadable == {
        "a body cut short",
        "no body",
        "no UTF-8",
        "UTF-16",
        "a lone surrogate",
        "a number too large",
        "an array bomb",
    }
