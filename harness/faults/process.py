"""Faults of processes: killed, stopped as a deploy stops them, frozen, a pool child taken away.

Symptom, blast radius and heal are said by each class. All are done and seen from outside: signals by the driver,
readings from the process table.
"""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass, field
from threading import Thread
from typing import Final

from harness.drivers.protocol import STORES, Exit, Scope, Stack, State
from harness.errors import HealFailed

SIGKILL_CODE: Final = 137
STOP_SLACK_S: Final = 30.0


def service_of(replica: str) -> str:
    """`worker-1` is of the service worker; a store is its own."""
    return replica if replica in STORES else replica.rpartition("-")[0]


def described(stack: Stack, replica: str) -> str:
    """The replica's main process or its end, as the process table has it."""
    processes = stack.processes(replica)
    if processes:
        main = processes[0]
        return f"runs: main process {main.pid} started at tick {main.started_ticks}, {len(processes)} processes"
    return ended(stack.exit_of(replica))


def start_again(stack: Stack, replica: str, *, fresh: bool = False) -> None:
    """Start what was killed unless it runs; a person or an orchestrator may have been faster."""
    if not stack.processes(replica):
        stack.start_replica(replica, fresh=fresh)


def is_settled(stack: Stack, replica: str) -> bool:
    """Healthy by its own health check, or ended: no heal waits for what has ended by itself; that is `crashed`."""
    return stack.state(replica) in (State.HEALTHY, State.DOWN)


def ended(end: Exit | None) -> str:
    """How a replica ended, in words."""
    if end is None:
        return "down, no exit seen"
    how = ", SIGKILL after the stop timeout" if end.killed else ""
    return f"down: exit {end.code} after {end.took_s:.2f} s{how}"


@dataclass(frozen=True, slots=True)
class KillReplica:
    """SIGKILL to every process of a replica at once, as a host that dies. Heals by starting it anew.

    Whatever it had claimed, popped or prefetched is left as it lies.
    """

    target: str
    source: str = "process table and exit code, read by the driver"
    bite_timeout_s: float = 5.0
    is_severing: bool = True

    @property
    def ends(self) -> tuple[str, ...]:
        """The target."""
        return (self.target,)

    @property
    def name(self) -> str:
        """`kill_worker`, `kill_beat`, …"""
        return f"kill_{service_of(self.target)}"

    @property
    def leaves_as_new(self) -> bool:
        """A store's death reaches everybody; a service's ends with its new process."""
        return self.target not in STORES

    def look(self, stack: Stack) -> str:
        """Main process, or exit."""
        return described(stack, self.target)

    def inject(self, stack: Stack) -> None:
        """Kill."""
        stack.kill_replica(self.target)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Ran before, ended by SIGKILL now."""
        return before.startswith("runs") and f"exit {SIGKILL_CODE}" in now

    def heal(self, stack: Stack) -> None:
        """Start it again."""
        start_again(stack, self.target)

    def is_whole(self, stack: Stack) -> bool:
        """Healthy by its own health check."""
        return stack.state(self.target) is State.HEALTHY


@dataclass(slots=True)
class StopReplica:
    """SIGTERM to the main process, SIGKILL when the stop timeout runs out: one task replaced by a deploy.

    With `Scope.GROUP` SIGTERM goes to every process at once, as systemd stops a service unless told otherwise.
    It works in the background, since the replica may be waiting for a tripwire that the scenario still holds; the bite
    is the end of the process. Heals by starting it anew, never before the stop itself is over.
    """

    target: str
    timeout_s: float
    scope: Scope = Scope.MAIN
    source: str = "exit code and the time since SIGTERM, read by the driver"
    is_severing: bool = True
    exit: Exit | None = None
    _stopping: Thread | None = field(default=None, repr=False)
    _failure: list[Exception] = field(default_factory=list, repr=False)

    @property
    def ends(self) -> tuple[str, ...]:
        """The target."""
        return (self.target,)

    @property
    def name(self) -> str:
        """`stop_worker`, …; `stop_worker_group` where every process is told."""
        return f"stop_{service_of(self.target)}{'_group' if self.scope is Scope.GROUP else ''}"

    @property
    def leaves_as_new(self) -> bool:
        """A store's death reaches everybody; a service's ends with its new process."""
        return self.target not in STORES

    @property
    def bite_timeout_s(self) -> float:
        """The stop timeout decides; the kill after it needs a moment."""
        return self.timeout_s + STOP_SLACK_S

    def look(self, stack: Stack) -> str:
        """Main process while the stop is under way, then how it ended."""
        if self.exit is not None:
            return ended(self.exit)
        return described(stack, self.target) if self._stopping is None else "runs: told to stop"

    def inject(self, stack: Stack) -> None:
        """Send SIGTERM and start the clock."""
        self._stopping = Thread(target=self._stop, args=(stack,), name=f"stop-{self.target}")
        self._stopping.start()

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Ran before, ended now."""
        return before.startswith("runs") and now.startswith("down: exit")

    def heal(self, stack: Stack) -> None:
        """Wait for the stop to be over, then start it again."""
        if self._stopping is not None:
            self._stopping.join(self.bite_timeout_s)
            if self._stopping.is_alive():
                raise HealFailed(f"{self.target} is still being stopped after {self.bite_timeout_s:.0f} s")
        start_again(stack, self.target)
        if self._failure:
            raise HealFailed(f"{self.target} could not be stopped: {self._failure[0]}")

    def is_whole(self, stack: Stack) -> bool:
        """Healthy by its own health check."""
        return stack.state(self.target) is State.HEALTHY

    def _stop(self, stack: Stack) -> None:
        try:
            self.exit = stack.stop_replica(self.target, timeout_s=self.timeout_s, scope=self.scope)
        except Exception as error:  # noqa: BLE001  # thread top: the error is raised by heal
            self._failure.append(error)


@dataclass(frozen=True, slots=True)
class FreezeReplica:
    """SIGSTOP to every process of a replica: alive for the kernel and its peers, deaf and dumb. Heals by SIGCONT.

    Connections stay open; leases, claims and timers of the frozen run on without it.
    """

    target: str
    source: str = "process states in the process table"
    bite_timeout_s: float = 5.0

    @property
    def name(self) -> str:
        """`freeze_worker`, `freeze_redis`, …"""
        return f"freeze_{service_of(self.target)}"

    def look(self, stack: Stack) -> str:
        """How many processes are in which state."""
        states = Counter(each.state for each in stack.processes(self.target))
        frozen = states.get("T", 0)
        return f"{frozen} of {states.total()} processes stopped"

    def inject(self, stack: Stack) -> None:
        """Stop them all; the driver returns when all are in state T."""
        stack.freeze(self.target)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """All stopped now, and there are some."""
        frozen, _, rest = now.partition(" of ")
        return before != now and frozen != "0" and rest.split(" ")[0] == frozen

    def heal(self, stack: Stack) -> None:
        """Let them go on."""
        stack.thaw(self.target)

    def is_whole(self, stack: Stack) -> bool:
        """No process stopped, and healthy again."""
        return all(each.state != "T" for each in stack.processes(self.target)) and is_settled(stack, self.target)


@dataclass(frozen=True, slots=True)
class KillChild:
    """SIGKILL to one pool child, as the kernel's OOM killer does. Heals itself: the pool forks another."""

    target: str
    pid: int
    source: str = "process table of the replica"
    bite_timeout_s: float = 5.0
    name: str = "kill_child"
    is_severing: bool = True

    def look(self, stack: Stack) -> str:
        """Whether that child lives; a zombie does not."""
        alive = any(each.pid == self.pid and each.state != "Z" for each in stack.processes(self.target))
        return f"pool child {self.pid} of {self.target} {'lives' if alive else 'is gone'}"

    def inject(self, stack: Stack) -> None:
        """Kill that process only."""
        stack.signal_process(self.target, self.pid, signal.SIGKILL)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Lived, is gone."""
        return before.endswith("lives") and now.endswith("is gone")

    def heal(self, stack: Stack) -> None:
        """Nothing to undo: the pool replaces it. A main process that ends with its child was not told to."""

    def is_whole(self, stack: Stack) -> bool:
        """Healthy by the worker's own health check."""
        return is_settled(stack, self.target)
