"""Faults of memory: a replica runs into its limit, and the kernel ends one of its processes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.drivers.protocol import Stack
from harness.faults.process import described, is_settled, start_again

NO_KILL = "0 OOM kills"


@dataclass(frozen=True, slots=True)
class RunOutOfMemory:
    """The replica's memory is used up until the kernel's OOM killer has ended pool child `pid`, or the main process.

    Blast radius: that process; with the main process the whole replica, which the heal starts anew. A lost child is
    replaced by its pool; a main process that ends with its child was not told to.
    """

    target: str
    pid: int | None = None
    source: str = "the kernel's own count of OOM kills in the replica's control group, and its process table"
    bite_timeout_s: float = 30.0
    name: str = "run_out_of_memory"
    is_severing: bool = True

    @property
    def ends(self) -> tuple[str, ...]:
        """The target, when it is the main process that runs out of it."""
        return (self.target,) if self.pid is None else ()

    def look(self, stack: Stack) -> str:
        """How many the kernel has killed, and what became of the victim."""
        kills = f"{stack.oom_kills(self.target)} OOM kills"
        if self.pid is None:
            return f"{kills}; {self.target} {described(stack, self.target)}"
        lives = any(each.pid == self.pid and each.state != "Z" for each in stack.processes(self.target))
        return f"{kills}; process {self.pid} of {self.target} {'lives' if lives else 'is gone'}"

    def inject(self, stack: Stack) -> None:
        """Fill; returns when the kernel has chosen."""
        main, *_ = stack.processes(self.target)
        stack.exhaust_memory(self.target, victim=main.pid if self.pid is None else self.pid)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """The kernel had killed nothing; now it has, and the victim is gone (a main process: its exit is known)."""
        has_killed = before.startswith(NO_KILL) and not now.startswith(NO_KILL)
        return has_killed and (now.endswith("is gone") if self.pid is not None else "down: exit" in now)

    def heal(self, stack: Stack) -> None:
        """Start the replica again if it was to end."""
        if self.ends:
            start_again(stack, self.target)

    def is_whole(self, stack: Stack) -> bool:
        """Healthy by its own health check."""
        return is_settled(stack, self.target)
