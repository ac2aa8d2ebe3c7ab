"""Links through the lab's own TCP proxy, told what to do over its control port."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import httpx

from harness.errors import DriverError
from harness.links.toxics import Bandwidth, BlackHole, HalfOpen, Latency, Refuse, Reset, Slicer, Toxic, Traffic
from harness.tls import trusted

CALL_TIMEOUT_S = 20.0
KINDS: dict[type[Toxic], str] = {
    Latency: "latency",
    Bandwidth: "bandwidth",
    Slicer: "slicer",
    BlackHole: "black_hole",
    HalfOpen: "half_open",
    Reset: "reset",
    Refuse: "refuse",
}


@dataclass(frozen=True, slots=True)
class TcpProxy:
    """A running `harness/links/tcp_proxy.py`; `control` is its base URL. Every call is bounded."""

    control: str

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.control}/links", timeout=CALL_TIMEOUT_S, verify=trusted()).is_success
        except httpx.HTTPError:
            return False

    def call(self, verb: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        """One request. Raises: DriverError when it is refused or not answered in time."""
        try:
            answer = httpx.request(verb, f"{self.control}{path}", json=body, timeout=CALL_TIMEOUT_S, verify=trusted())
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise DriverError(f"the TCP proxy refused {verb} {path}: {error.response.text}") from error
        except httpx.HTTPError as error:
            raise DriverError(f"the TCP proxy at {self.control} did not answer {verb} {path}: {error!r}") from error
        content: dict[str, object] = answer.json()
        return content


@dataclass(frozen=True, slots=True)
class TcpLink:
    """One service's path to one store."""

    service: str
    store: str
    proxy: TcpProxy

    @property
    def _path(self) -> str:
        return f"/links/{self.service}-{self.store}"

    def harm(self, toxic: Toxic) -> None:
        """Add one toxic; it bites connections at once. Raises: DriverError."""
        self.proxy.call("POST", f"{self._path}/toxics", {"kind": KINDS[type(toxic)], **asdict(toxic)})

    def heal(self) -> None:
        """Remove every toxic. What HalfOpen silenced stays silent. Raises: DriverError."""
        self.proxy.call("DELETE", f"{self._path}/toxics")

    def round_trip_s(self, message: bytes) -> float:
        """How long the proxy itself waits for an answer through its own listener. Raises: DriverError."""
        seen = self.proxy.call("POST", f"{self._path}/round-trips", {"message": message.decode()})
        return float(str(seen["took_s"]))

    def traffic(self) -> Traffic:
        """The proxy's own counters; a silenced connection is not open any more."""
        seen = self.proxy.call("GET", self._path)
        return Traffic(
            up_bytes=int(str(seen["up_bytes"])),
            down_bytes=int(str(seen["down_bytes"])),
            opened=int(str(seen["opened"])),
            open=int(str(seen["open"])),
            silenced=int(str(seen["silenced"])),
            oldest=None if seen["oldest"] is None else int(str(seen["oldest"])),
        )
