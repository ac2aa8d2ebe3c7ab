"""Faults of the scheduler: one beat too many. (A beat killed or frozen is a fault of processes.)"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.drivers.protocol import Stack, State
from harness.errors import MissingCapability


@dataclass(slots=True)
class AddBeat:
    """A second beat beside the first, as in a rolling deploy or by a wrong desired count. Heals by ending it."""

    target: str = "beat"
    source: str = "process table of every beat replica"
    bite_timeout_s: float = 30.0
    name: str = "add_beat"
    added: list[str] = field(default_factory=list)

    def look(self, stack: Stack) -> str:
        """Which beats run."""
        running = [each for each in stack.replicas("beat") if stack.processes(each)]
        return f"{len(running)} running: {', '.join(running)}"

    def inject(self, stack: Stack) -> None:
        """Start it; healthy when this returns."""
        self.added.append(stack.add_replica("beat"))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """One more than before."""
        return int(now.split(" ")[0]) > int(before.split(" ")[0])

    def heal(self, stack: Stack) -> None:
        """End what was added."""
        while self.added:
            stack.remove_replica(self.added.pop())

    def is_whole(self, stack: Stack) -> bool:
        """Every beat that should be there is healthy."""
        beats = stack.replicas("beat")
        if not beats:
            raise MissingCapability("the stack has no beat")
        return all(stack.state(each) is State.HEALTHY for each in beats)
