"""The flood: what it counts of the answers, that it asks every replica in turn, and as whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import cast

import pytest

from harness.drivers.protocol import Stack
from harness.faults.requests import FloodRequests

FEW = 2


class Server(ThreadingHTTPServer):
    """Answers the first few requests with 200, then 429; says when to try again only the first time."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.tokens.append(self.headers["Authorization"])
        asked = len(self.server.tokens)
        self.send_response(200 if asked <= FEW else 429)
        if asked == FEW + 1:
            self.send_header("Retry-After", "3")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class OnlyApi:
    """As much of a stack as this fault asks for."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls

    def api_urls(self) -> Mapping[str, str]:
        return self._urls


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    found = [Server() for _ in range(2)]
    threads = [Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}) for each in found]
    for thread in threads:
        thread.start()
    yield found
    for server, thread in zip(found, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_counts_the_answers_of_all_replicas(servers: list[Server]) -> None:
    urls = {f"api-{number}": f"http://127.0.0.1:{each.server_port}" for number, each in enumerate(servers)}
    stack = cast(Stack, OnlyApi(urls))
    fault = FloodRequests(headers=lambda turn: {"Authorization": f"Bearer {turn}"}, times=2 * (FEW + 2))
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(stack)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    assert (fault.statuses[200], fault.statuses[429], fault.unexplained) == (2 * FEW, 4, 2)
    turns = range(2 * (FEW + 2))
    assert [each.tokens for each in servers] == [[f"Bearer {turn}" for turn in turns[number::2]] for number in (0, 1)]
