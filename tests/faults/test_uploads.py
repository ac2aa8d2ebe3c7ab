"""Abandoned uploads: so many to each replica, half sent; who waits for the rest, and who has given them up."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from harness.clock import wait_for
from harness.drivers.protocol import Stack
from harness.faults.uploads import AbandonUploads

EACH = 2


class Listening:
    """As much of a stack as this fault asks for: two listeners, which accept and then do as they are told."""

    def __init__(self, stack: ExitStack) -> None:
        self.listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]

    def api_urls(self) -> dict[str, str]:
        return {f"api-{at}": f"http://127.0.0.1:{each.getsockname()[1]}" for at, each in enumerate(self.listeners, 1)}

    def accepted(self) -> list[socket.socket]:
        return [each.accept()[0] for each in self.listeners for _ in range(EACH)]


@pytest.fixture
def api() -> Iterator[Listening]:
    with ExitStack() as stack:
        yield Listening(stack)


def test_they_bite_while_the_api_waits_and_have_ended_when_it_does_not(api: Listening) -> None:
    stack, fault = cast(Stack, api), AbandonUploads(each=EACH)
    before = fault.look(stack)
    fault.inject(stack)
    now = fault.look(stack)
    assert (before, now) == ("0 uploads, 0 ended", "4 uploads, 0 ended")
    assert fault.has_bitten(before=before, now=now)
    assert not fault.has_bitten(before=before, now=before)
    closed, answered, *waiting = api.accepted()
    head, _, body = answered.recv(65_536).partition(b"\r\n\r\n")
    assert b"Content-Length: 1000" in head
    assert 0 < len(body) < 1000
    answered.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    closed.close()
    wait_for(lambda: fault.waiting() == 2, awaiting="both to be seen", timeout_s=10)
    now = fault.look(stack)
    assert now == "4 uploads, 2 ended"
    assert not fault.has_bitten(before=before, now=now)
    assert not fault.is_whole(stack)
    fault.heal(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    for each in (answered, *waiting):
        each.close()
