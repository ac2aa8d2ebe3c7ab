"""Faults of configuration: one service is started with another environment than the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.drivers.protocol import Stack, State
from harness.faults.process import described


@dataclass(frozen=True, slots=True)
class ChangeEnv:
    """Restart one replica of a service with variables changed; None removes one. Heals by forgetting the change.

    Whether the replica refuses, runs or harms is for the scenario to judge: the bite is that this incarnation was
    started with the change.
    """

    target: str
    changes: Mapping[str, str | None]
    source: str = "process table of the replica"
    bite_timeout_s: float = 30.0
    name: str = "change_env"
    leaves_as_new: bool = True

    @property
    def service(self) -> str:
        """The service of the replica."""
        return self.target.rpartition("-")[0]

    def look(self, stack: Stack) -> str:
        """Which incarnation runs, or how it ended."""
        return described(stack, self.target)

    def inject(self, stack: Stack) -> None:
        """Stop it as a deploy does, and start it with the change; does not wait for health."""
        stack.change_env(self.service, self.changes)
        stack.stop_replica(self.target)
        stack.start_replica(self.target, wait=False)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Another incarnation runs, or it has ended."""
        return before.split(",")[0] != now.split(",")[0]

    def heal(self, stack: Stack) -> None:
        """Put the variables back and start the replica with them."""
        stack.restore_env(self.service)
        if stack.processes(self.target):
            stack.stop_replica(self.target)
        stack.start_replica(self.target)

    def is_whole(self, stack: Stack) -> bool:
        """Healthy by its own health check."""
        return stack.state(self.target) is State.HEALTHY
