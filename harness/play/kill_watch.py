"""What a person kills past the lab (`docker kill`, `kill -9`) is noticed, and from then on a fault like any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from harness.clock import utc_now
from harness.drivers.protocol import STORES, Stack
from harness.experiment.harm import Harm
from harness.faults.process import KillReplica


@dataclass(slots=True)
class KillWatch:
    """Looks at every replica and store when it is told to. Not for several threads.

    Cannot see: a kill that was over, the replica started again, between two looks. Exit 137 counts as a kill; any other
    exit that nobody asked for is the checkers' to name.
    """

    stack: Stack
    harm: Harm
    _well: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    def look(self) -> None:
        """Give what is killed now, and was not by the lab, into the charge of the lab's harm."""
        now = utc_now()
        for name in (*self.stack.replicas(), *STORES):
            fault = KillReplica(name)
            seen = fault.look(self.stack)
            before, since = self._well.get(name, ("", now))
            if seen.startswith("runs"):
                self._well[name] = (seen, now)
            elif name not in self.harm.harmed_now() and fault.has_bitten(before=before, now=seen):
                self.harm.adopt(fault, before=before, since=since)
