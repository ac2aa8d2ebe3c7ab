"""Time: the only place that sleeps, and the only way to wait for something."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from harness.errors import WaitTimeout

T = TypeVar("T")
Timeout = float | Callable[[], float]
"""Seconds, or who says how many: asked again when those have passed, since a machine may have become busier."""


def utc_now() -> datetime:
    """The wall clock as an aware UTC stamp."""
    return datetime.now(UTC)


def pause(duration_s: float) -> None:
    """Sleep. For pacing a poll or holding a fault; never as a stand-in for a condition."""
    time.sleep(duration_s)


def wait_for(
    probe: Callable[[], T | None],
    *,
    awaiting: str,
    timeout_s: Timeout,
    interval_s: float = 0.05,
    seen: Callable[[], str] = lambda: "",
) -> T:
    """Poll until `probe` returns something truthy, and return it.

    `seen` is asked once, when the time is up, for what was seen last (state, exit code, log tail).

    Raises: WaitTimeout with what was awaited, for how long, and what was seen.
    """
    begun = time.monotonic()
    limit_s = seconds(timeout_s)
    while True:
        found = probe()
        if found:
            return found
        waited_s = time.monotonic() - begun
        if waited_s >= limit_s:
            limit_s = seconds(timeout_s)
            if waited_s >= limit_s:
                raise WaitTimeout(awaiting=awaiting, waited_s=limit_s, seen=seen())
        pause(interval_s)


def seconds(timeout_s: Timeout) -> float:
    """How long a timeout is at this moment."""
    return timeout_s() if callable(timeout_s) else timeout_s
