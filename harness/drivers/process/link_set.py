"""The links of one stack: a listener per service and store in one TCP proxy, Toxiproxy behind it if there is one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from harness.clock import wait_for
from harness.drivers.leftovers import Journal
from harness.drivers.process.group import Launch, ProcessGroup
from harness.drivers.process.port_book import PortBook
from harness.drivers.protocol import SERVICES, STORES, Link
from harness.errors import DriverError
from harness.lab_home import PROJECT
from harness.links.local import TcpLink, TcpProxy
from harness.links.toxiproxy import Toxiproxy, ToxiproxyLink

START_TIMEOUT_S = 20.0
TCP_PROXY = PROJECT / "harness" / "links" / "tcp_proxy.py"
TOXIPROXY = "toxiproxy-server"
NO_MORE_ENV: Mapping[str, str] = MappingProxyType({})
# It only copies bytes: on every processor, and tidying up as often as Go would, that costs half as much again.
TOXIPROXY_ENV: Mapping[str, str] = MappingProxyType({"GOMAXPROCS": "1", "GOGC": "400"})


@dataclass(slots=True)
class LinkSet:
    """The proxies' processes and what can be done to each path. `with_toxiproxy` asks for the binary on PATH."""

    lair: Path
    logs: Path
    ports: PortBook
    env: Mapping[str, str]
    journal: Journal
    with_toxiproxy: bool = field(default_factory=lambda: shutil.which(TOXIPROXY) is not None)
    _groups: list[ProcessGroup] = field(default_factory=list, init=False)

    @property
    def _proxy(self) -> TcpProxy:
        return TcpProxy(control=f"http://{self.ports.address('tcp_proxy')}")

    @property
    def _toxiproxy(self) -> Toxiproxy:
        return Toxiproxy(host="127.0.0.1", port=self.ports.number("toxiproxy"))

    def start(self) -> None:
        """Start the proxies; see `await_up`."""
        command = [sys.executable, "-I", "-S", str(TCP_PROXY), "--control", self.ports.address("tcp_proxy")]
        for service in SERVICES:
            for store in STORES:
                upstream = self.ports.address(f"toxiproxy/{service}-{store}" if self.with_toxiproxy else store)
                command += ["--link", f"{service}-{store}={self.ports.address(f'{service}-{store}')},{upstream}"]
        self._run("tcp_proxy", tuple(command))
        if self.with_toxiproxy:
            server = (TOXIPROXY, "-host", "127.0.0.1", "-port", str(self.ports.number("toxiproxy")))
            self._run("toxiproxy", server, env=TOXIPROXY_ENV)

    def await_up(self) -> None:
        """Return when every link passes. Raises: WaitTimeout, DriverError."""
        wait_for(self._proxy.is_up, awaiting="the TCP proxy to answer", timeout_s=START_TIMEOUT_S, seen=self._exits)
        if not self.with_toxiproxy:
            return
        wait_for(self._toxiproxy.is_up, awaiting="toxiproxy to answer", timeout_s=START_TIMEOUT_S, seen=self._exits)
        for service in SERVICES:
            for store in STORES:
                name = f"{service}-{store}"
                self._toxiproxy.create(
                    name, listen=self.ports.address(f"toxiproxy/{name}"), upstream=self.ports.address(store)
                )

    def port_of(self, service: str) -> dict[str, int]:
        """The ports of one service's listeners, by store."""
        return {store: self.ports.number(f"{service}-{store}") for store in STORES}

    def link(self, service: str, store: str) -> Link:
        """The path from a service to a store. Raises: DriverError when there is none."""
        if service not in SERVICES or store not in STORES:
            raise DriverError(f"no link {service}-{store}: services are {SERVICES}, stores {STORES}")
        front = TcpLink(service=service, store=store, proxy=self._proxy)
        if not self.with_toxiproxy:
            return front
        return ToxiproxyLink(
            service=service,
            store=store,
            front=front,
            server=self._toxiproxy,
            listen=self.ports.address(f"toxiproxy/{service}-{store}"),
            upstream=self.ports.address(store),
        )

    def version(self) -> str:
        """Which proxies these are."""
        return f"toxiproxy {self._toxiproxy.version()} behind tcp_proxy" if self.with_toxiproxy else "tcp_proxy"

    def kill(self) -> None:
        """End the proxies. Idempotent."""
        for group in self._groups:
            group.kill()

    def _run(self, name: str, command: tuple[str, ...], *, env: Mapping[str, str] = NO_MORE_ENV) -> None:
        group = ProcessGroup(name, journal=self.journal)
        self._groups.append(group)
        group.start(
            Launch(command=command, env={**self.env, **env}, directory=self.lair / name, log=self.logs / f"{name}.log")
        )

    def _exits(self) -> str:
        return "\n".join(f"{group.name}: {group.exit() or 'runs'}" for group in self._groups)
