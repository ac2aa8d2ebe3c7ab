"""Slowness of the network between one service and Redis, measured as the service feels it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import redis

from harness.clock import pause
from harness.drivers.protocol import Stack, State
from harness.links.toxics import Bandwidth, Latency, Slicer
from harness.tls import trusted

LOOKS: Final = 100
LOOK_EVERY_S: Final = 0.03
ASKED: Final = 3
TIMEOUT_S: Final = 10.0
SHARE_LEFT: Final = 0.85


@dataclass(frozen=True, slots=True)
class SlowLink:
    """Latency, narrowness and slicing on the path from a service to Redis. Heals by removing the toxics.

    Measured past the link: of api, the fastest of three answers of /health/imports, which asks Redis; of worker, how
    much of the time its polls wait inside Redis. A poll lasts a second there, then the answer and the next poll travel,
    so a slow path shows as time in which nobody polls.
    """

    service: str
    toxics: Sequence[Latency | Bandwidth | Slicer]
    least_s: float
    source: str = "time of /health/imports (api), share of time that polls wait in Redis by CLIENT LIST (worker)"
    bite_timeout_s: float = 30.0
    name: str = "slow_link"

    @property
    def target(self) -> str:
        """`worker→redis`."""
        return f"{self.service}→redis"

    def look(self, stack: Stack) -> str:
        """Seconds, or the share of time."""
        if self.service == "worker":
            return f"polls wait in Redis {_polling(stack):.0f} % of the time"
        return f"/health/imports took {_fastest(stack):.3f} s"

    def inject(self, stack: Stack) -> None:
        """Add every toxic."""
        for toxic in self.toxics:
            stack.link(self.service, "redis").harm(toxic)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """api: slower by `least_s`; worker: polling for a smaller share of the time."""
        first, then = _figure(before), _figure(now)
        return then < SHARE_LEFT * first if self.service == "worker" else then >= first + self.least_s

    def heal(self, stack: Stack) -> None:
        """Remove them."""
        stack.link(self.service, "redis").heal()

    def is_whole(self, stack: Stack) -> bool:
        """The service's replicas are healthy by their own checks."""
        return all(stack.state(each) is State.HEALTHY for each in stack.replicas(self.service))


def _fastest(stack: Stack) -> float:
    url = next(iter(stack.api_urls().values()))
    took: list[float] = []
    for _ in range(ASKED):
        begun = time.monotonic()
        httpx.get(f"{url.rstrip('/')}/health/imports", timeout=TIMEOUT_S, verify=trusted())
        took.append(time.monotonic() - begun)
    return min(took)


def _polling(stack: Stack) -> float:
    """Per cent of looks, over all workers, in which a connection waited in BRPOP; only workers poll."""
    workers = len(stack.replicas("worker"))
    client: Any = redis.Redis.from_url(stack.redis_url(), socket_timeout=TIMEOUT_S)
    try:
        seen = 0
        for _ in range(LOOKS):
            seen += sum(each["cmd"] == "brpop" and "b" in each["flags"] for each in client.client_list())
            pause(LOOK_EVERY_S)
    finally:
        client.close()
    return 100.0 * seen / (LOOKS * workers)


def _figure(text: str) -> float:
    return next(float(word) for word in text.split(" ") if word.replace(".", "", 1).isdigit())
