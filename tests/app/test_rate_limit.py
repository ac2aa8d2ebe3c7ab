"""The rate limit holds, across processes through the cache and without it; a dead cache costs almost nothing."""

import dataclasses
import socket
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import RequestFactory

from backend import context, rate_limit
from backend.client_address import client_address
from backend.clock import monotonic_s
from backend.env import config
from backend.rate_limit import ANSWER_BOUND_S, MAX_LOCAL_KEYS, LocalWindow, RateLimiter
from tests.app.phones import PROGRESS, REGISTER, START, STEPS, Phone, registered
from tests.app.waiting import PATIENCE_S

LIMIT = 3


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A Redis that takes connections and answers nothing, as a frozen one does."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.fixture
def closed_port() -> str:
    """A Redis that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def fixed_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock stands 12 s after a full minute."""
    monkeypatch.setattr(rate_limit, "wall_s", lambda: 600_012.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is there is waited for, however busy the machine."""
    monkeypatch.setattr(rate_limit, "ANSWER_BOUND_S", PATIENCE_S)


def refusals(limiter: RateLimiter, *, key: str = "device:1", times: int = LIMIT + 2) -> list[bool]:
    """Which of `times` requests are refused."""
    return [limiter.refused_for_s(key) is not None for _ in range(times)]


@pytest.mark.usefixtures("stores", "fixed_minute", "patient")
def test_limit_is_shared_by_processes() -> None:
    one, two = (RateLimiter(cache_url=settings.CONFIG.cache_url, limit_per_minute=LIMIT) for _ in range(2))
    assert refusals(one, times=2) + refusals(two, times=3) == [False, False, False, True, True]
    assert two.refused_for_s("device:1") == 48.0
    assert refusals(two, key="device:2", times=1) == [False]


@pytest.mark.usefixtures("fixed_minute")
@pytest.mark.parametrize("away", ["silent_server", "closed_port"])
def test_limit_holds_without_the_cache(away: str, request: pytest.FixtureRequest) -> None:
    limiter = RateLimiter(cache_url=request.getfixturevalue(away), limit_per_minute=LIMIT)
    assert refusals(limiter) == [False, False, False, True, True]


def test_frozen_cache_is_asked_once(silent_server: str) -> None:
    limiter = RateLimiter(cache_url=silent_server, limit_per_minute=1_000)
    started_s = monotonic_s()
    refusals(limiter, times=400)
    assert monotonic_s() - started_s < 400 * ANSWER_BOUND_S / 2  # far from a wait for each


def test_local_window_is_bounded_and_starts_anew() -> None:
    window = LocalWindow()
    assert [window.count("a", window=1), window.count("a", window=1), window.count("a", window=2)] == [1, 2, 1]
    for number in range(MAX_LOCAL_KEYS):
        window.count(str(number), window=2)
    assert window.count("a", window=2) == 1


@pytest.mark.usefixtures("stores", "fixed_minute", "patient")
def test_refused_request_says_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    phone = registered()
    limiter = RateLimiter(cache_url=settings.CONFIG.cache_url, limit_per_minute=1)
    monkeypatch.setattr("backend.endpoint._limiter", lambda: limiter)
    first, second = phone.start(), phone.start()
    assert (first.code, second.code, second.status) == (None, "RATE_LIMITED", 429)
    assert second.headers["Retry-After"] == "48"


REDRIVE = 'mutation { redrive(kind: CHUNK, target: "1") { redrivenCount } }'
FORWARDED = "X-Forwarded-For"


def register(phone: Phone, number: int, **headers: str) -> str | None:
    variables = {"account": f"a-{number}", "device": f"d-{number}", "zone": "UTC"}
    return phone.send(REGISTER, headers=headers, **variables).code


def ask_as_nobody(phone: Phone, number: int, **headers: str) -> str | None:
    sent = {"Authorization": f"Bearer nobody-{number}", **headers}
    return phone.send(PROGRESS, headers=sent, batch="1").code


def redrive_as_nobody(phone: Phone, number: int, **headers: str) -> str | None:
    return phone.send(REDRIVE, headers={"X-Operator-Token": f"wrong-{number}", **headers}).code


STRANGERS = {
    "registrations": (register, None),
    "unknown tokens": (ask_as_nobody, "UNAUTHENTICATED"),
    "wrong operator's tokens": (redrive_as_nobody, "UNAUTHENTICATED"),
}


@pytest.mark.usefixtures("stores", "fixed_minute", "patient")
@pytest.mark.parametrize("what", list(STRANGERS))
def test_strangers_are_counted_by_their_address(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, usual = STRANGERS[what]
    known = registered()
    limit = dataclasses.replace(config(), address_limit_per_minute=LIMIT)
    monkeypatch.setattr(context, "config", lambda: limit)
    stranger = Phone()
    codes = [ask(stranger, number, **{FORWARDED: f"9.9.9.{number}, 1.1.1.1"}) for number in range(LIMIT + 1)]
    assert codes == [*[usual] * LIMIT, "RATE_LIMITED"]
    assert ask(stranger, LIMIT + 1, **{FORWARDED: "1.1.1.2"}) == usual
    assert known.send(START, headers={FORWARDED: "1.1.1.1"}, key="k", type=STEPS, to=None, chunks=1).code is None
    operator = {FORWARDED: "1.1.1.1", "X-Operator-Token": config().operator_token}
    assert known.send(REDRIVE, headers=operator).code == "NOT_FOUND"


ADDRESSES = {
    "1.2.3.4": "1.2.3.4",
    "6.6.6.6, 1.2.3.4": "1.2.3.4",
    "2001:db8::1": "2001:db8::/64",
    "2001:db8::ffff:0:0:1": "2001:db8::/64",
    "2001:db8:0:1::1": "2001:db8:0:1::/64",
    "::ffff:1.2.3.4": "1.2.3.4",
    "nonsense": "5.5.5.5",
    "1.2.3.4, ": "5.5.5.5",
    "": "5.5.5.5",
}


@pytest.mark.parametrize("forwarded", list(ADDRESSES))
def test_address_of_a_client(forwarded: str) -> None:
    request = RequestFactory().get("/", headers={FORWARDED: forwarded}, REMOTE_ADDR="5.5.5.5")
    assert client_address(request) == ADDRESSES[forwarded]
