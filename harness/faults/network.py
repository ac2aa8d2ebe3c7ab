"""Faults of the network between one service and one store: half-open, black hole, reset, refuse.

Only the harmed service's path is touched; the lab's own sessions go past the links.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, assert_never

from harness.clock import pause
from harness.drivers.protocol import Stack
from harness.faults.process import is_settled
from harness.links.toxics import BlackHole, HalfOpen, Refuse, Reset

LISTEN_S: Final = 1.2
"""A worker's poll is answered every second; a link that carries nothing for longer is silent."""
NAMES: Final = {HalfOpen: "half_open", BlackHole: "black_hole", Reset: "reset_link", Refuse: "refuse_link"}
OLDEST: Final = "the oldest was number"
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
        """What of this link's connections shows the harm that is meant.

        Half-open: how many are silenced; reset and refuse: how many there were ever, and as the how many-th the oldest
        open one was opened; black hole: what came through while listening.
        """
        link = stack.link(self.service, self.store)
        first = link.traffic()
        match self.toxic:
            case HalfOpen():
                return f"{first.open} connections open, {first.silenced} silenced"
            case BlackHole():
                pause(LISTEN_S)
                came = link.traffic().down_bytes - first.down_bytes
                return f"{first.open} connections open, {came} bytes from {self.store} within {LISTEN_S:g} s"
            case Reset() | Refuse():
                oldest = f", {OLDEST} {first.oldest}" if first.oldest is not None else ""
                return f"{first.open} connections open of {first.opened} ever{oldest}"
            case _:
                assert_never(self.toxic)

    def inject(self, stack: Stack) -> None:
        """Add the toxic; it bites open connections at once."""
        stack.link(self.service, self.store).harm(self.toxic)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Half-open: more are silenced. Reset: there were some, and none of these is open. Refuse: nor any other.

        Black hole: not a byte came through, and some did before.
        """
        match self.toxic:
            case HalfOpen():
                return _number(now, at=1) > _number(before, at=1)
            case BlackHole():
                return _number(before, at=1) > 0 and _number(now, at=1) == 0
            case Refuse():
                return _number(before, at=0) > 0 and _number(now, at=0) == 0
            case Reset():
                is_any_left = OLDEST in now and _number(now, at=2) <= _number(before, at=1)
                return _number(before, at=0) > 0 and not is_any_left
            case _:
                assert_never(self.toxic)

    def heal(self, stack: Stack) -> None:
        """Remove it."""
        stack.link(self.service, self.store).heal()

    def is_whole(self, stack: Stack) -> bool:
        """The service's replicas are healthy by their own checks."""
        return all(is_settled(stack, each) for each in stack.replicas(self.service))


def _number(text: str, *, at: int) -> int:
    return int(re.findall(r"\d+", text)[at])
