"""The harmed gateway: what it answers while harmed, and that it answers as usual afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import cast

import httpx
import pytest

from harness.clock import wait_for
from harness.drivers.protocol import Stack
from harness.faults.gateway import HarmGateway
from harness.receiver import Receiver

REMINDER = {"key": "5:x", "reminder_id": 5, "due_at": "2026-01-01T00:00:00+00:00", "text": "Take it"}


class OnlyReceiver:
    """As much of a stack as this fault asks for."""

    def __init__(self, url: str) -> None:
        self._url = url

    def receiver_url(self) -> str:
        return self._url


@pytest.fixture
def stack() -> Iterator[Stack]:
    server = Receiver(("127.0.0.1", 0))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield cast(Stack, OnlyReceiver(f"http://127.0.0.1:{server.server_port}"))
    server.shutdown()
    server.server_close()
    thread.join(5)


def send(stack: Stack) -> int | None:
    """The status, or None when the connection was cut."""
    try:
        return httpx.post(f"{stack.receiver_url()}/send", json=REMINDER, timeout=5.0).status_code
    except httpx.RemoteProtocolError:
        return None


@pytest.mark.parametrize(("is_cutting", "answer"), [(False, 503), (True, None)], ids=["refuses", "cuts"])
def test_bites_with_the_first_reminder_and_heals(stack: Stack, is_cutting: bool, answer: int | None) -> None:
    assert send(stack) == 200
    fault = HarmGateway(is_cutting=is_cutting)
    before = fault.look(stack)
    fault.inject(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    assert not fault.is_whole(stack)
    assert send(stack) == answer
    assert fault.has_bitten(before=before, now=fault.look(stack))
    fault.heal(stack)
    fault.heal(stack)
    assert fault.is_whole(stack)
    assert send(stack) == 200


def test_one_that_says_nothing_bites_when_a_reminder_has_come_and_lets_go_when_healed(stack: Stack) -> None:
    fault = HarmGateway(is_cutting=True, delay_s=600.0)
    before = fault.look(stack)
    fault.inject(stack)
    answers: list[int | None] = []
    sending = Thread(target=lambda: answers.append(send(stack)))
    sending.start()
    wait_for(lambda: fault.has_bitten(before=before, now=fault.look(stack)), awaiting="the bite", timeout_s=4.0)
    assert answers == []
    assert not fault.is_whole(stack)
    fault.heal(stack)
    sending.join(5.0)
    assert answers == [None]
    assert fault.is_whole(stack)
    assert send(stack) == 200


def test_a_slow_one_bites_when_it_has_taken_a_reminder_after_its_time(stack: Stack) -> None:
    fault = HarmGateway(delay_s=60.0)
    before = fault.look(stack)
    fault.inject(stack)
    assert not fault.is_whole(stack)
    sending = Thread(target=send, args=(stack,))
    sending.start()
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    fault.heal(stack)
    sending.join(5)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    assert fault.is_whole(stack)


def test_a_gateway_that_has_moved_answers_whoever_follows(stack: Stack) -> None:
    fault = HarmGateway(status=302)
    fault.inject(stack)
    answer = httpx.post(f"{stack.receiver_url()}/send", json=REMINDER, timeout=5.0)
    followed = httpx.get(f"{stack.receiver_url()}{answer.headers['Location']}", timeout=5.0)
    assert (answer.status_code, followed.status_code) == (302, 200)
    assert fault.look(stack) == "0 cut, 1 refused, 0 accepted"
    fault.heal(stack)
    assert "Location" not in httpx.post(f"{stack.receiver_url()}/send", json=REMINDER, timeout=5.0).headers
