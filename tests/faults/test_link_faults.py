"""A path that is cut, on the lab's own proxy: the receipt tells it from connections that close by themselves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from harness.clock import wait_for
from harness.drivers.leftovers import Journal
from harness.drivers.process.launches import helper_env
from harness.drivers.process.link_set import LinkSet
from harness.drivers.process.port_book import PortBook
from harness.drivers.protocol import Link, Stack, State
from harness.faults.network import HarmLink
from harness.lab_home import lab_home
from harness.links.toxics import HalfOpen, Refuse, Reset
from tests.contract.echo_server import EchoServer
from tests.contract.paths import round_trip

PATIENCE_S = 30.0
CUTS = pytest.mark.parametrize("toxic", [HalfOpen(), Reset(), Refuse()], ids=["half-open", "reset", "refuse"])


@dataclass
class OnlyLinks:
    """As much of a stack as this fault asks for: links, and a worker that is well."""

    links: LinkSet
    port: int
    clients: list[socket.socket] = field(default_factory=list)

    def link(self, service: str, store: str) -> Link:
        return self.links.link(service, store)

    def replicas(self, service: str) -> tuple[str, ...]:
        return (f"{service}-1",)

    def state(self, _name: str) -> State:
        return State.HEALTHY

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        assert round_trip(client, b"hello") == b"hello"
        self.clients.append(client)
        return client

    def await_open(self, count: int) -> None:
        link = self.link("worker", "redis")
        wait_for(
            lambda: link.traffic().open == count,
            awaiting=f"{count} connections",
            timeout_s=PATIENCE_S,
            seen=lambda: str(link.traffic()),
        )


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LinkSet, int]]:
    directory: Path = tmp_path_factory.mktemp("links")
    journal = Journal(lab=f"link-faults-{directory.parent.name}", home=lab_home())
    ports = PortBook()
    made = LinkSet(
        lair=directory,
        logs=directory / "logs",
        ports=ports,
        env=helper_env(journal.lab),
        journal=journal,
        with_toxiproxy=False,
    )
    with EchoServer(ports.number("redis")), ExitStack() as undo:
        undo.callback(journal.close)
        undo.callback(ports.release)
        undo.callback(made.kill)
        made.start()
        made.await_up()
        yield made, ports.number("worker-redis")


@pytest.fixture
def stack(links: tuple[LinkSet, int]) -> Iterator[OnlyLinks]:
    made = OnlyLinks(*links)
    yield made
    for client in made.clients:
        client.close()
    made.link("worker", "redis").heal()
    made.await_open(0)


@CUTS
def test_bites_and_heals(stack: OnlyLinks, toxic: HalfOpen | Reset | Refuse) -> None:
    fault, seen = HarmLink("worker", "redis", toxic), cast(Stack, stack)
    for _ in range(2):
        stack.connect()
    before = fault.look(seen)
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(seen)
    assert fault.has_bitten(before=before, now=fault.look(seen))
    fault.heal(seen)
    fault.heal(seen)
    stack.connect()
    assert fault.is_whole(seen)


@CUTS
def test_a_connection_that_closes_by_itself_is_no_bite(stack: OnlyLinks, toxic: HalfOpen | Reset | Refuse) -> None:
    fault, seen = HarmLink("worker", "redis", toxic), cast(Stack, stack)
    stack.connect()
    idle = stack.connect()
    before = fault.look(seen)
    idle.close()
    stack.await_open(1)
    assert not fault.has_bitten(before=before, now=fault.look(seen))


@CUTS
def test_a_path_that_nobody_used_was_not_cut(stack: OnlyLinks, toxic: HalfOpen | Reset | Refuse) -> None:
    fault, seen = HarmLink("worker", "redis", toxic), cast(Stack, stack)
    before = fault.look(seen)
    fault.inject(seen)
    assert not fault.has_bitten(before=before, now=fault.look(seen))


def test_whoever_came_after_a_reset_is_not_of_the_old(stack: OnlyLinks) -> None:
    fault, seen = HarmLink("worker", "redis", Reset()), cast(Stack, stack)
    stack.connect()
    before = fault.look(seen)
    fault.inject(seen)
    stack.connect()
    assert fault.has_bitten(before=before, now=fault.look(seen))
