"""What the contract is held against: both proxies, both drivers. A driver slots in through DRIVERS and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.drivers.containers import ContainersStack
from harness.drivers.leftovers import Journal
from harness.drivers.process.launches import helper_env
from harness.drivers.process.link_set import LinkSet
from harness.drivers.process.port_book import PortBook
from harness.drivers.processes import ProcessesStack
from harness.drivers.protocol import Stack, StackSpec
from harness.lab_home import lab_home
from tests.contract.echo_server import EchoServer
from tests.contract.paths import HarmedPath

Make = Callable[[StackSpec, Path], Stack]
DRIVERS: dict[str, tuple[str, Make]] = {
    "containers": ("engine", lambda spec, directory: ContainersStack(spec, directory=directory)),
    "processes": ("processes", lambda spec, directory: ProcessesStack(spec, directory=directory)),
}
STOP_TIMEOUT_S = 60.0  # nothing is killed for being slow on a busy machine, unless a test asks for it
SMALL = StackSpec(
    env={"BUILD_ID": "contract", "STOP_TIMEOUT_S": f"{STOP_TIMEOUT_S:g}"},
    replicas={"api": 2, "worker": 1, "beat": 1},
    stop_timeout_s=STOP_TIMEOUT_S,
)


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.needs(need)) for name, (need, _) in DRIVERS.items()]
)
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A small stack of each driver that works here; a test leaves it as it was."""
    _, make = DRIVERS[str(request.param)]
    made = make(SMALL, tmp_path_factory.mktemp(str(request.param)))
    try:
        made.start()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module", params=["tcp_proxy", pytest.param("toxiproxy", marks=pytest.mark.needs("toxiproxy"))])
def links(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LinkSet, PortBook]]:
    """All links of a stack over one kind of proxy, without a stack."""
    with_toxiproxy = request.param == "toxiproxy"
    directory = tmp_path_factory.mktemp("links")
    journal = Journal(lab=f"links-{directory.parent.name}-{request.param}", home=lab_home())
    ports = PortBook()
    made = LinkSet(
        lair=directory,
        logs=directory / "logs",
        ports=ports,
        env=helper_env(journal.lab),
        journal=journal,
        with_toxiproxy=with_toxiproxy,
    )
    try:
        made.start()
        made.await_up()
        yield made, ports
    finally:
        made.kill()
        ports.release()
        journal.close()


@pytest.fixture
def path(links: tuple[LinkSet, PortBook]) -> Iterator[HarmedPath]:
    """The worker's link to Redis with an echo server in Redis' place; healed when the test is over."""
    link_set, ports = links
    with EchoServer(ports.number("redis")) as server:
        yield HarmedPath(link=link_set.link("worker", "redis"), port=ports.number("worker-redis"), server=server)
        link_set.link("worker", "redis").heal()
