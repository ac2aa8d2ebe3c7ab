"""What every driver offers: a stack that can be started, read and harmed from outside.

Replicas are named `api-1`, `api-2`, `worker-1`, `worker-2`, `beat-1`; the stores are `redis` and `postgres`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from harness.links.toxics import Toxic, Traffic

SERVICES = ("api", "worker", "beat")
STORES = ("redis", "postgres")


class State(StrEnum):
    """What a replica is at this moment, judged from outside."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    FROZEN = "frozen"
    DOWN = "down"


class Scope(StrEnum):
    """Whom a signal reaches: the main process alone, or every process of the replica."""

    MAIN = "main"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class StackSpec:
    """What a stack is started from. Two equal specs may share one stack, after a reset.

    `env` is added to the one environment block of all services; `service_env` changes it for one service
    (None removes the variable). `overlay` is a directory put before the app on the import path (planted defects).
    `app_dir` replaces the app (PATCH). `commands` replaces a service's command. `pins` are requirements installed over
    the locked ones for one service, in a second environment or image layer. Durations in seconds.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    service_env: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=lambda: {"api": 2, "worker": 2, "beat": 1})
    overlay: Path | None = None
    app_dir: Path | None = None
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stop_timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a replica, as seen where it lives (`pid` in its own namespace); `state` is /proc's letter.

    `started_ticks` counts clock ticks since boot: in a container every incarnation's main process has the same pid.
    """

    pid: int
    parent_pid: int
    state: str
    command: str
    started_ticks: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a replica's main process ended: `code` as a shell gives it (137 = SIGKILL, on both drivers).

    `took_s` from the first signal to the end; `killed` when the stop timeout ran out and SIGKILL followed.
    """

    code: int
    took_s: float
    killed: bool


class Link(Protocol):
    """The TCP path from one service to one store."""

    @property
    def service(self) -> str: ...
    @property
    def store(self) -> str: ...

    def harm(self, toxic: Toxic) -> None:
        """Add one toxic; it bites connections at once."""

    def heal(self) -> None:
        """Remove every toxic. What HalfOpen silenced stays silent. Bounded in time."""

    def round_trip_s(self, message: bytes) -> float:
        """How long a new connection through this path, by the lab's own hand, waits for the answer to a message."""

    def traffic(self) -> Traffic:
        """The proxy's own counters."""


class Stack(Protocol):
    """All services of one run."""

    @property
    def name(self) -> str: ...
    @property
    def driver(self) -> str: ...
    @property
    def spec(self) -> StackSpec: ...
    @property
    def directory(self) -> Path:
        """Where this stack keeps its files; `directory / "logs" / "<replica>.log"` holds each replica's output."""

    def start(self) -> None:
        """Everything up, migrated and healthy. Raises: DriverError with state, exit code, log tail, next step."""

    def down(self) -> None:
        """End everything this stack started and remove it, volumes too. Idempotent."""

    def replicas(self, service: str | None = None) -> tuple[str, ...]:
        """Names of the replicas that exist (running or not), of one service or of all, stores excluded."""

    def start_replica(self, name: str, *, fresh: bool = False, wait: bool = True) -> None:
        """Start it (again). `fresh`: a store comes back without its data. `wait`: until healthy."""

    def add_replica(self, service: str, *, wait: bool = True) -> str:
        """One more replica of a service; returns its name."""

    def remove_replica(self, name: str) -> None:
        """End a replica that add_replica made."""

    def stop_replica(self, name: str, *, timeout_s: float | None = None, scope: Scope = Scope.MAIN) -> Exit:
        """As ECS stops a task: SIGTERM to whom `scope` says, SIGKILL to all after the timeout (default: the spec's)."""

    def kill_replica(self, name: str) -> Exit:
        """SIGKILL to all its processes at once; stores too."""

    def signal(self, name: str, signum: int, *, scope: Scope = Scope.MAIN) -> None:
        """Send a signal from outside."""

    def signal_process(self, name: str, pid: int, signum: int) -> None:
        """Send a signal to one process of a replica, e.g. a pool child."""

    def freeze(self, name: str) -> None:
        """SIGSTOP to every process of the replica; returns when all are in state T."""

    def thaw(self, name: str) -> None:
        """SIGCONT to every process of the replica."""

    def exhaust_memory(self, name: str, *, victim: int) -> None:
        """Use up the replica's memory limit until the kernel's OOM killer has ended process `victim`.

        Raises: MissingCapability where a replica has no limit of its own.
        """

    def oom_kills(self, name: str) -> int:
        """How many processes of the replica's incarnation the kernel has ended for want of memory, as it counts.

        Raises: MissingCapability where a replica has no limit of its own.
        """

    def processes(self, name: str) -> tuple[Process, ...]:
        """The replica's processes, main first; empty when it is down."""

    def environment(self, name: str) -> Mapping[str, str]:
        """What the replica's latest incarnation was started with, as the kernel or the engine has it."""

    def exit_of(self, name: str, *, timeout_s: float = 0.0) -> Exit | None:
        """How the replica's latest incarnation ended; None while it runs (waits up to `timeout_s`)."""

    def state(self, name: str) -> State:
        """Judged by the service's own health check (api: /health/; worker, beat: their commands; stores: a ping)."""

    def is_fit(self, name: str) -> bool:
        """What the service's own health check alone says, also of a replica that is frozen."""

    def logs(self, name: str) -> Sequence[str]:
        """All lines of all its incarnations, oldest first, without trailing newlines."""

    def change_env(self, service: str, changes: Mapping[str, str | None]) -> None:
        """Change one service's environment from its next start on; None removes a variable."""

    def restore_env(self, service: str) -> None:
        """Forget every change made to one service's environment, from its next start on. Idempotent."""

    def api_urls(self) -> Mapping[str, str]:
        """Base URL of each api replica, on loopback."""

    def dsn(self) -> str:
        """Postgres as superuser, bypassing the links."""

    def redis_url(self) -> str:
        """Redis, bypassing the links."""

    def receiver_url(self) -> str:
        """Control URL of the reminder receiver (`harness/receiver.py`), on loopback."""

    def link(self, service: str, store: str) -> Link:
        """The path from a service to a store."""

    def versions(self) -> Mapping[str, str]:
        """Versions of what runs: python, django, celery, kombu, billiard, redis-py, postgres, redis, driver, proxy."""
