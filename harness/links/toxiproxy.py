"""Links through Toxiproxy, with the lab's own TCP proxy always in front: service → tcp_proxy → toxiproxy → store.

Latency, bandwidth and slicing are Toxiproxy's. The rest it cannot do as the lab needs it, so the TCP proxy does: it
cannot reset an idle connection; a connection that it refuses was accepted in front; its `timeout` toxic passes on that
the store closed (which Postgres does to a session that is idle in a transaction) and closes the old connections when it
is removed, and either wakes a client that should hear nothing. Toxiproxy's API hangs when a client does not read, for
that proxy from then on, also after it was disabled: every call has a timeout, and after one the proxy is deleted (which
closes its connections) and created again at the same address.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import requests
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from harness.errors import DriverError, HealFailed
from harness.links.local import TcpLink
from harness.links.toxics import Bandwidth, BlackHole, HalfOpen, Latency, Refuse, Reset, Slicer, Toxic, Traffic

CALL_TIMEOUT_S = 20.0
STREAMS = ("upstream", "downstream")
ERRORS = (requests.RequestException, InvalidToxic, NotFound, ProxyExists)


@dataclass(frozen=True, slots=True)
class Toxiproxy:
    """A running toxiproxy-server at `host`:`port`.

    The package's own objects keep one address per Python process and wait without a bound; its API client, made anew
    for each server, takes both.
    """

    host: str
    port: int

    def call(self, verb: str, path: str, body: dict[str, object] | None = None) -> Any:
        """One request (`get`, `post`, `delete`), its JSON. Raises: one of ERRORS."""
        api = type("Api", (APIConsumer,), {"host": self.host, "port": self.port})
        arguments: dict[str, object] = {"timeout": CALL_TIMEOUT_S} | ({"json": body} if body is not None else {})
        answer = getattr(api, verb)(path, **arguments)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def version(self) -> str:
        """Of the server. Raises: DriverError."""
        try:
            return str(self.call("get", "/version")["version"])
        except ERRORS as error:
            raise DriverError(f"toxiproxy at {self.host}:{self.port} does not answer: {error!r}") from error

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            self.version()
        except DriverError:
            return False
        return True

    def create(self, name: str, *, listen: str, upstream: str) -> None:
        """A proxy that listens at `listen`; one of that name is replaced. Raises: DriverError."""
        body: dict[str, object] = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
        try:
            with suppress(NotFound):
                self.call("delete", f"/proxies/{name}")
            self.call("post", "/proxies", body)
        except ERRORS as error:
            raise DriverError(f"toxiproxy did not create {name} at {listen}: {error!r}") from error


def configured_addresses(path: Path) -> dict[str, tuple[str, str]]:
    """Where each proxy listens and where it leads, by name, from the file that a server was started with."""
    return {
        str(each["name"]): (str(each["listen"]), str(each["upstream"]))
        for each in json.loads(path.read_text(encoding="utf-8"))
    }


@dataclass(frozen=True, slots=True)
class ToxiproxyLink:
    """One service's path to one store; `front` is the TCP proxy's link before Toxiproxy's proxy of the same name.

    That one listens at `listen` and leads to `upstream`, as the server sees the two.
    """

    service: str
    store: str
    front: TcpLink
    server: Toxiproxy
    listen: str
    upstream: str

    @property
    def _name(self) -> str:
        return f"{self.service}-{self.store}"

    def harm(self, toxic: Toxic) -> None:
        """Add one toxic; it bites connections at once. Raises: DriverError."""
        match toxic:
            case Latency(latency_s=latency_s, jitter_s=jitter_s):
                self._add("latency", latency=round(latency_s * 1000), jitter=round(jitter_s * 1000))
            case Bandwidth(bytes_per_s=bytes_per_s):
                self._add("bandwidth", rate=max(1, round(bytes_per_s / 1000)))
            case Slicer(size_bytes=size_bytes, delay_s=delay_s):
                self._add("slicer", average_size=size_bytes, size_variation=0, delay=round(delay_s * 1_000_000))
            case BlackHole() | HalfOpen() | Reset() | Refuse():
                self.front.harm(toxic)
            case _:
                assert_never(toxic)

    def heal(self) -> None:
        """Remove every toxic. What HalfOpen silenced stays silent. Raises: HealFailed."""
        try:
            self.front.heal()
            try:
                for toxic in self.server.call("get", f"/proxies/{self._name}")["toxics"]:
                    self.server.call("delete", f"/proxies/{self._name}/toxics/{toxic['name']}")
            except requests.Timeout:
                self._recreate()
        except (DriverError, *ERRORS) as error:
            raise HealFailed(f"the link {self._name} is still harmed: {error}") from error

    def round_trip_s(self, message: bytes) -> float:
        """Through both proxies. Raises: DriverError."""
        return self.front.round_trip_s(message)

    def traffic(self) -> Traffic:
        """The TCP proxy's counters."""
        return self.front.traffic()

    def _add(self, kind: str, **attributes: int) -> None:
        try:
            try:
                self._post(kind, attributes)
            except requests.Timeout:
                self._recreate()
                self._post(kind, attributes)
        except ERRORS as error:
            raise DriverError(f"toxiproxy did not take {kind} on {self._name}: {error!r}") from error

    def _post(self, kind: str, attributes: dict[str, int]) -> None:
        for stream in STREAMS:
            toxic: dict[str, object] = {
                "name": f"{kind}_{stream}",
                "type": kind,
                "stream": stream,
                "attributes": attributes,
            }
            self.server.call("post", f"/proxies/{self._name}/toxics", toxic)

    def _recreate(self) -> None:
        self.server.create(self._name, listen=self.listen, upstream=self.upstream)
