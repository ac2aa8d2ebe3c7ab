"""Faults of configuration: one service is started with another environment than the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.drivers.protocol import Stack, State
from harness.faults.process import described

UNSEEN: Final = "its environment was not seen"


@dataclass(frozen=True, slots=True)
class ChangeEnv:
    """Restart one replica of a service with variables changed; None removes one. Heals by forgetting the change.

    Whether the replica refuses, runs or harms is for the scenario to judge: the bite is that another incarnation was
    started, and with every variable as told. Only values that are told here are shown.
    """

    target: str
    changes: Mapping[str, str | None]
    source: str = "process table of the replica, and its environment as the kernel or the engine has it"
    bite_timeout_s: float = 30.0
    name: str = "change_env"
    leaves_as_new: bool = True

    @property
    def service(self) -> str:
        """The service of the replica."""
        return self.target.rpartition("-")[0]

    def look(self, stack: Stack) -> str:
        """Which incarnation runs, or how it ended; and what it was started with of the variables in question."""
        found = stack.environment(self.target)
        told = [_told(name, wanted, found.get(name)) for name, wanted in self.changes.items()] if found else [UNSEEN]
        return "; ".join((described(stack, self.target), *told))

    def inject(self, stack: Stack) -> None:
        """Stop it as a deploy does, and start it with the change; does not wait for health."""
        stack.change_env(self.service, self.changes)
        stack.stop_replica(self.target)
        stack.start_replica(self.target, wait=False)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Another incarnation runs, or has ended; it was started with the change, and the one before was not."""
        wanted = {_told(name, value, value) for name, value in self.changes.items()}
        (first, *had), (second, *has) = before.split("; "), now.split("; ")
        return first.split(",")[0] != second.split(",")[0] and set(has) == wanted and not wanted & set(had)

    def heal(self, stack: Stack) -> None:
        """Put the variables back and start the replica with them."""
        stack.restore_env(self.service)
        if stack.processes(self.target):
            stack.stop_replica(self.target)
        stack.start_replica(self.target)

    def is_whole(self, stack: Stack) -> bool:
        """Healthy by its own health check."""
        return stack.state(self.target) is State.HEALTHY


def _told(name: str, wanted: str | None, found: str | None) -> str:
    if found is None:
        return f"{name} is absent"
    return f"{name} is {found}" if found == wanted else f"{name} has another value"
