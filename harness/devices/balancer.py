"""A client-side load balancer over the api replicas: health-checked targets, deregistration, pinning.

It plays the articles' load balancer: a target that fails its health check gets no new requests, a deregistered one
neither, and when no target is healthy every registered one is tried (fail open, as AWS's do).
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from harness.clock import pause, wait_for
from harness.errors import LabError
from harness.tls import trusted

HEALTH_PATH = "/health/"


class NoTarget(LabError):
    """No api replica is registered."""


@dataclass(frozen=True, slots=True)
class Target:
    """One api replica."""

    name: str
    url: str


class Balancer:
    """Picks a replica for each request. Safe to use from many threads.

    A target is taken out after `unhealthy_after` failed checks in a row and comes back after one good check.
    """

    def __init__(
        self,
        targets: Mapping[str, str],
        *,
        interval_s: float = 0.5,
        timeout_s: float = 2.0,
        unhealthy_after: int = 2,
    ) -> None:
        """`targets` maps replica names to base URLs. Nothing is checked before `start`."""
        self._targets = {name: Target(name, url.rstrip("/")) for name, url in targets.items()}
        self._failures = dict.fromkeys(self._targets, 0)
        self._draining: set[str] = set()
        self._in_flight: Counter[str] = Counter()
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._unhealthy_after = unhealthy_after
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin checking health in a thread of its own."""
        self._thread = threading.Thread(target=self._watch, name="balancer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the health checks. Idempotent."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=self._timeout_s + self._interval_s + 1)

    def register(self, name: str, url: str) -> None:
        """Add a replica (again), or change its address. It counts as healthy until a check fails."""
        with self._lock:
            self._draining.discard(name)
            self._targets[name] = Target(name, url.rstrip("/"))
            self._failures[name] = 0

    def deregister(self, name: str) -> None:
        """Send no new request to a replica; those in flight run on. Idempotent."""
        with self._lock:
            self._targets.pop(name, None)
            self._failures.pop(name, None)

    def drain(self, name: str, *, timeout_s: float) -> None:
        """Send no request to a replica but those pinned to it, and wait until none is in flight; `register` ends it.

        What a load balancer does before a task is stopped. Raises: WaitTimeout when some are still in flight.
        """
        with self._lock:
            self._draining.add(name)
        wait_for(
            lambda: not self._in_flight[name],
            awaiting=f"no request in flight at {name}",
            timeout_s=timeout_s,
            seen=lambda: f"{self._in_flight[name]} in flight",
        )

    @contextmanager
    def serving(self, pin: str | None = None) -> Iterator[Target]:
        """As `pick`, for one request, which is in flight as long as the block."""
        with self._lock:
            target = self._pick(pin)
            self._in_flight[target.name] += 1
        try:
            yield target
        finally:
            with self._lock:
                self._in_flight[target.name] -= 1

    def pick(self, pin: str | None = None) -> Target:
        """The next healthy target in turn; the one called `pin`, healthy or not, when given.

        Raises: NoTarget when none is registered, or not the pinned one.
        """
        with self._lock:
            return self._pick(pin)

    def names(self) -> tuple[str, ...]:
        """All registered replicas, in order of registration."""
        with self._lock:
            return tuple(self._targets)

    def healthy(self) -> tuple[str, ...]:
        """Replicas whose last checks did not fail."""
        with self._lock:
            return tuple(name for name in self._targets if self._failures[name] < self._unhealthy_after)

    def _pick(self, pin: str | None) -> Target:
        if pin is not None:
            if pin not in self._targets:
                raise NoTarget(f"api replica {pin} is not registered; registered: {sorted(self._targets)}")
            return self._targets[pin]
        takers = [each for each in self._targets.values() if each.name not in self._draining]
        if not takers:
            raise NoTarget("no api replica is registered; register one before devices start")
        healthy = [each for each in takers if self._failures[each.name] < self._unhealthy_after]
        return (healthy or takers)[next(self._turn) % len(healthy or takers)]

    def _watch(self) -> None:
        with httpx.Client(timeout=self._timeout_s, verify=trusted()) as client:
            while not self._stopped.is_set():
                with self._lock:
                    targets = list(self._targets.values())
                for target in targets:
                    is_good = _is_healthy(client, target)
                    with self._lock:
                        if target.name in self._failures:
                            self._failures[target.name] = 0 if is_good else self._failures[target.name] + 1
                pause(self._interval_s)


def _is_healthy(client: httpx.Client, target: Target) -> bool:
    try:
        return client.get(f"{target.url}{HEALTH_PATH}").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
