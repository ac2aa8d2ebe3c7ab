"""The slow path to Redis, through a real proxy: it bites as an api and as a worker feel it, and is gone when healed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
import redis

from harness.drivers.embedded import running_redis
from harness.drivers.lab_home import lab_home
from harness.drivers.launches import helper_env
from harness.drivers.link_set import LinkSet
from harness.drivers.port_book import PortBook
from harness.drivers.protocol import Link, Stack, State
from harness.faults import slow_link
from harness.faults.slow_link import SlowLink
from harness.leftovers import Journal
from harness.links.toxics import Latency, Slicer

LATENCY_S = 0.3
POLL_S = 0.3
TOXICS = (Latency(LATENCY_S, jitter_s=0.03), Slicer(64))


class Ports(PortBook):
    """Free ports, but for a Redis that is there already."""

    def __init__(self, redis_url: str) -> None:
        super().__init__()
        self._redis = urlsplit(redis_url).port or 0

    def number(self, name: str) -> int:
        return self._redis if name == "redis" else super().number(name)


@dataclass
class OnlyRedis:
    """As much of a stack as this fault asks for: Redis behind the links of an api and a worker."""

    url: str
    links: LinkSet
    api: str = ""
    state_of_all: State = State.HEALTHY

    def link(self, service: str, store: str) -> Link:
        return self.links.link(service, store)

    def redis_url(self) -> str:
        return self.url

    def url_through(self, service: str) -> str:
        parts = urlsplit(self.url)
        return f"redis://:{parts.password}@127.0.0.1:{self.links.port_of(service)['redis']}/0"

    def replicas(self, service: str) -> tuple[str, ...]:
        return (f"{service}-1",)

    def state(self, _name: str) -> State:
        return self.state_of_all

    def api_urls(self) -> Mapping[str, str]:
        return {"api-1": self.api}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnlyRedis]:
    directory: Path = tmp_path_factory.mktemp("links")
    with running_redis() as store:
        journal = Journal(lab=f"slow-link-{directory.parent.name}", home=lab_home())
        ports = Ports(store.url)
        links = LinkSet(
            lair=directory,
            logs=directory / "logs",
            ports=ports,
            env=helper_env(journal.lab),
            journal=journal,
            with_toxiproxy=False,
        )
        try:
            links.start()
            links.await_up()
            yield OnlyRedis(store.url, links)
        finally:
            links.kill()
            ports.release()
            journal.close()


@pytest.fixture
def worker(parts: OnlyRedis) -> Iterator[OnlyRedis]:
    """Somebody who polls Redis through the worker's link, as Celery does; only the polls are shorter."""
    is_over = threading.Event()

    def poll() -> None:
        with redis.Redis.from_url(parts.url_through("worker"), socket_timeout=10.0) as client:
            while not is_over.is_set():
                client.brpop(["default"], timeout=POLL_S)

    thread = threading.Thread(target=poll)
    thread.start()
    yield parts
    is_over.set()
    thread.join(10.0)


@pytest.fixture
def api(parts: OnlyRedis) -> Iterator[OnlyRedis]:
    """Somebody who answers HTTP after having asked Redis through the api's link."""
    client = redis.Redis.from_url(parts.url_through("api"), socket_timeout=10.0)

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            client.ping()
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    parts.api = f"http://127.0.0.1:{server.server_port}"
    yield parts
    server.shutdown()
    server.server_close()
    thread.join(5.0)
    client.close()


def bites_and_heals(fault: SlowLink, parts: OnlyRedis) -> None:
    stack = cast(Stack, parts)
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    fault.inject(stack)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    fault.heal(stack)
    fault.heal(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    assert fault.is_whole(stack)


def test_a_worker_polls_for_less_of_its_time(worker: OnlyRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_link, "LOOKS", 60)
    monkeypatch.setattr(slow_link, "LOOK_EVERY_S", 0.02)
    bites_and_heals(SlowLink("worker", TOXICS, least_s=0.0), worker)


def test_an_api_answers_later(api: OnlyRedis) -> None:
    bites_and_heals(SlowLink("api", TOXICS, least_s=LATENCY_S), api)


def test_the_path_of_one_service_is_slow_for_no_other(api: OnlyRedis) -> None:
    stack = cast(Stack, api)
    watched = SlowLink("api", TOXICS, least_s=LATENCY_S)
    before = watched.look(stack)
    other = SlowLink("worker", TOXICS, least_s=0.0)
    other.inject(stack)
    try:
        assert not watched.has_bitten(before=before, now=watched.look(stack))
    finally:
        other.heal(stack)


def test_whole_means_healthy(parts: OnlyRedis) -> None:
    parts.state_of_all = State.UNHEALTHY
    try:
        assert not SlowLink("worker", TOXICS, least_s=0.0).is_whole(cast(Stack, parts))
    finally:
        parts.state_of_all = State.HEALTHY
