"""Slowness of the network between one service and Redis, measured on the very path that is harmed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from harness.drivers.protocol import Stack
from harness.faults.process import is_settled
from harness.links.toxics import Bandwidth, Latency, Slicer

ASKED: Final = 5
PING: Final = b"PING\r\n"
"""Redis answers it in one line, also without a password: then with an error."""


@dataclass(frozen=True, slots=True)
class SlowLink:
    """Latency, narrowness and slicing on the path from a service to Redis. Heals by removing the toxics.

    The reading is the quickest of some round trips of the lab's own through the service's listener, all at once: a
    machine that is merely crowded delays some of them, a slow path every one.
    """

    service: str
    toxics: Sequence[Latency | Bandwidth | Slicer]
    least_s: float
    source: str = "PING on new connections of the lab's own through this link"
    bite_timeout_s: float = 30.0
    name: str = "slow_link"

    @property
    def target(self) -> str:
        """`worker→redis`."""
        return f"{self.service}→redis"

    def look(self, stack: Stack) -> str:
        """Seconds of the quickest."""
        link = stack.link(self.service, "redis")
        with ThreadPoolExecutor(ASKED) as at_once:
            quickest_s = min(at_once.map(lambda _: link.round_trip_s(PING), range(ASKED)))
        return f"the quickest of {ASKED} PINGs took {quickest_s:.3f} s"

    def inject(self, stack: Stack) -> None:
        """Add every toxic."""
        for toxic in self.toxics:
            stack.link(self.service, "redis").harm(toxic)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Slower by `least_s`."""
        return _seconds(now) >= _seconds(before) + self.least_s

    def heal(self, stack: Stack) -> None:
        """Remove them."""
        stack.link(self.service, "redis").heal()

    def is_whole(self, stack: Stack) -> bool:
        """The service's replicas are healthy by their own checks."""
        return all(is_settled(stack, each) for each in stack.replicas(self.service))


def _seconds(text: str) -> float:
    return float(text.split(" ")[-2])
