"""A pool child that never comes back: stopped alone, while its main process and its siblings work on."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

from harness.drivers.protocol import Stack
from harness.faults.process import is_settled

STOPPED: Final = frozenset("Tt")
GONE: Final = "gone"


@dataclass(frozen=True, slots=True)
class FreezeChild:
    """SIGSTOP to one pool child: its task neither ends nor fails, its connections stay open, its locks stay held.

    Blast radius: what this child had in work, and whoever waits for its locks in Postgres. Heals by SIGCONT; when
    something has ended the child meanwhile, the pool has forked another and nothing is left to undo.
    """

    target: str
    pid: int
    source: str = "process table of the replica"
    bite_timeout_s: float = 5.0
    name: str = "freeze_child"

    def look(self, stack: Stack) -> str:
        """What that child does."""
        state = self._state(stack)
        words = "is gone" if state == GONE else "is stopped" if state in STOPPED else "runs"
        return f"pool child {self.pid} of {self.target} {words}"

    def inject(self, stack: Stack) -> None:
        """Stop that process only."""
        stack.signal_process(self.target, self.pid, signal.SIGSTOP)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Ran, is stopped."""
        return before.endswith("runs") and now.endswith("is stopped")

    def heal(self, stack: Stack) -> None:
        """Let it go on, if it is still there."""
        if self._state(stack) in STOPPED:
            stack.signal_process(self.target, self.pid, signal.SIGCONT)

    def is_whole(self, stack: Stack) -> bool:
        """Not stopped, and the worker is healthy by its own health check."""
        return self._state(stack) not in STOPPED and is_settled(stack, self.target)

    def _state(self, stack: Stack) -> str:
        """Its letter in the process table; a zombie is as good as gone."""
        found = [each.state for each in stack.processes(self.target) if each.pid == self.pid and each.state != "Z"]
        return found[0] if found else GONE
