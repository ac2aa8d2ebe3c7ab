"""The slow path to Redis, through a real proxy: it bites on that path alone, and is gone when healed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest

from harness.drivers.leftovers import Journal
from harness.drivers.process.embedded import running_redis
from harness.drivers.process.launches import helper_env
from harness.drivers.process.link_set import LinkSet
from harness.drivers.process.port_book import PortBook
from harness.drivers.protocol import Link, Stack, State
from harness.faults.slow_link import SlowLink
from harness.lab_home import lab_home
from harness.links.toxics import Latency, Slicer

LATENCY_S = 0.3
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

    links: LinkSet
    state_of_all: State = State.HEALTHY

    def link(self, service: str, store: str) -> Link:
        return self.links.link(service, store)

    def replicas(self, service: str) -> tuple[str, ...]:
        return (f"{service}-1",)

    def state(self, _name: str) -> State:
        return self.state_of_all


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
            yield OnlyRedis(links)
        finally:
            links.kill()
            ports.release()
            journal.close()


@pytest.mark.parametrize("service", ["api", "worker"])
def test_bites_and_heals(parts: OnlyRedis, service: str) -> None:
    stack, fault = cast(Stack, parts), SlowLink(service, TOXICS, least_s=LATENCY_S)
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    fault.inject(stack)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    fault.heal(stack)
    fault.heal(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    assert fault.is_whole(stack)


def test_the_path_of_one_service_is_slow_for_no_other(parts: OnlyRedis) -> None:
    stack = cast(Stack, parts)
    watched = SlowLink("api", TOXICS, least_s=LATENCY_S)
    before = watched.look(stack)
    other = SlowLink("worker", TOXICS, least_s=LATENCY_S)
    other.inject(stack)
    try:
        assert not watched.has_bitten(before=before, now=watched.look(stack))
    finally:
        other.heal(stack)


def test_whole_means_healthy(parts: OnlyRedis) -> None:
    parts.state_of_all = State.UNHEALTHY
    try:
        assert not SlowLink("worker", TOXICS, least_s=LATENCY_S).is_whole(cast(Stack, parts))
    finally:
        parts.state_of_all = State.HEALTHY
