"""A Postgres that takes connections and answers nothing: one at a time waits for it, everybody else is told at once."""

import socket
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError

from backend.clock import monotonic_s
from backend.postgres import gate
from backend.postgres.base import DatabaseWrapper
from backend.postgres.gate import PAUSE_S, ConnectGate

CONNECT_S = 2
AT_ONCE_S = 1.0


@pytest.fixture(autouse=True)
def _as_in_the_beginning() -> Iterator[None]:
    yield
    gate.connect_gate.reset()


@pytest.fixture
def silent() -> Iterator[DatabaseWrapper]:
    """Connections to a port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        known = settings.DATABASES["default"]
        port = str(server.getsockname()[1])
        options = {**known["OPTIONS"], "connect_timeout": CONNECT_S}
        yield DatabaseWrapper({**known, "HOST": "127.0.0.1", "PORT": port, "OPTIONS": options})


def refused_after_s(wrapper: DatabaseWrapper) -> float:
    begun_s = monotonic_s()
    with pytest.raises(OperationalError):
        wrapper.ensure_connection()
    return monotonic_s() - begun_s


def test_after_one_has_waited_the_next_is_told_at_once(silent: DatabaseWrapper) -> None:
    assert refused_after_s(silent) >= CONNECT_S
    assert refused_after_s(silent) < AT_ONCE_S


class Clock:
    """A clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(gate, "monotonic_s", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def attempt(gate_: ConnectGate, error: Exception | None = None) -> None:
    with gate_.attempt():
        if error is not None:
            raise error


def wait_in_vain(gate_: ConnectGate) -> None:
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        attempt(gate_, psycopg.errors.ConnectionTimeout("no answer"))


def is_open(gate_: ConnectGate) -> bool:
    try:
        attempt(gate_)
    except psycopg.OperationalError:
        return False
    return True


def test_after_the_pause_one_tries_and_opens_it_to_all(clock: Clock) -> None:
    closed = ConnectGate()
    wait_in_vain(closed)
    assert not is_open(closed)
    clock.now_s += PAUSE_S
    with closed.attempt():
        assert not is_open(closed), "two try at once"
    assert is_open(closed)


def test_a_trial_in_vain_closes_it_for_another_pause(clock: Clock) -> None:
    closed = ConnectGate()
    wait_in_vain(closed)
    clock.now_s += PAUSE_S
    wait_in_vain(closed)
    assert not is_open(closed)
    clock.now_s += PAUSE_S
    assert is_open(closed)


def test_a_trial_that_is_broken_off_leaves_the_next_its_turn(clock: Clock) -> None:
    closed = ConnectGate()
    wait_in_vain(closed)
    clock.now_s += PAUSE_S
    with pytest.raises(SystemExit), closed.attempt():
        raise SystemExit
    assert is_open(closed)


def test_a_refusal_is_an_answer() -> None:
    always = ConnectGate()
    with pytest.raises(psycopg.OperationalError):
        attempt(always, psycopg.OperationalError("the database system is starting up"))
    assert is_open(always)
