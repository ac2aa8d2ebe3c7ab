"""What a request knows about its device."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import RequestFactory

from accounts.tokens import DeviceIdentity
from backend import context
from backend.context import Context
from backend.rate_limit import RateLimiter
from tests.app.waiting import PATIENCE_S


def _context(limiter: RateLimiter) -> Context:
    return Context(RequestFactory().post("/graphql/", headers={"Authorization": "Bearer t"}), limiter)


@pytest.fixture
def limiter() -> RateLimiter:
    return RateLimiter(cache_url="redis://127.0.0.1:1/0", limit_per_minute=60)


def test_requests_do_not_wait_for_each_others_devices(limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Postgres away each waits for its own answer, not for those of all who came before.

    With functools.cached_property it fails before Python 3.12, which took its lock away.
    """
    together = threading.Barrier(2, timeout=PATIENCE_S)

    def identify(*, token: str) -> DeviceIdentity:
        together.wait()
        return DeviceIdentity(device_id=1, user_id=1)

    monkeypatch.setattr(context, "device_identify", identify)
    with ThreadPoolExecutor(2) as pool:
        found = [asked.result() for asked in [pool.submit(lambda: _context(limiter).device) for _ in range(2)]]
    assert {device.device_id for device in found} == {1}


def test_a_request_asks_for_its_device_once(limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def identify(*, token: str) -> DeviceIdentity:
        asked.append(token)
        return DeviceIdentity(device_id=1, user_id=1)

    monkeypatch.setattr(context, "device_identify", identify)
    request = _context(limiter)
    assert (request.device, asked) == (request.device, ["t"])
