"""Faults of the network between one service and one store: half-open, black hole, reset, refuse.

Only the harmed service's path is touched; the lab's own sessions go past the links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from harness.clock import pause
from harness.drivers.protocol import Stack, State
from harness.links.toxics import BlackHole, HalfOpen, Refuse, Reset

LISTEN_S: Final = 1.2
"""A worker's poll is answered every second; a link that carries nothing for longer is silent."""
NAMES: Final = {HalfOpen: "half_open", BlackHole: "black_hole", Reset: "reset_link", Refuse: "refuse_link"}
CuttingToxic = HalfOpen | BlackHole | Reset | Refuse


@dataclass(frozen=True, slots=True)
class HarmLink:
    """Cut the path from a service to a store in one of four ways. Heals by removing the toxic.

    After `HalfOpen` the old connections stay silent also when healed: the service has to notice by itself.
    """

    service: str
    store: str
    toxic: CuttingToxic
    source: str = "the proxy's own counters for this link"
    bite_timeout_s: float = 10.0

    @property
    def name(self) -> str:
        """`half_open`, `black_hole`, …"""
        return NAMES[type(self.toxic)]

    @property
    def target(self) -> str:
        """`worker→redis`."""
        return f"{self.service}→{self.store}"

    def look(self, stack: Stack) -> str:
        """Connections that are open through this link; for a black hole also what came through while listening."""
        link = stack.link(self.service, self.store)
        first = link.traffic()
        if not isinstance(self.toxic, BlackHole):
            return f"{first.open} connections open"
        pause(LISTEN_S)
        came = link.traffic().down_bytes - first.down_bytes
        return f"{first.open} connections open, {came} bytes from {self.store} within {LISTEN_S:g} s"

    def inject(self, stack: Stack) -> None:
        """Add the toxic; it bites open connections at once."""
        stack.link(self.service, self.store).harm(self.toxic)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Fewer connections than before; for a black hole: not a byte came through, and some did before."""
        if isinstance(self.toxic, BlackHole):
            return _number(before, at=1) > 0 and _number(now, at=1) == 0
        return _number(now, at=0) < _number(before, at=0)

    def heal(self, stack: Stack) -> None:
        """Remove it."""
        stack.link(self.service, self.store).heal()

    def is_whole(self, stack: Stack) -> bool:
        """The service's replicas are healthy by their own checks."""
        return all(stack.state(each) is State.HEALTHY for each in stack.replicas(self.service))


def _number(text: str, *, at: int) -> int:
    return int(re.findall(r"\d+", text)[at])
