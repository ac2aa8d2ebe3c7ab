"""What is the same for a replica of either driver: how it is frozen, and what it is at this moment."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Final

from harness.clock import wait_for
from harness.drivers.protocol import Process, State

FREEZE_TIMEOUT_S = 5.0
HARMLESS: Final = (signal.SIGSTOP, signal.SIGCONT, 0)
"""Signals that do not tell a process to end."""
Members = Callable[[], Sequence[Process]]


def freeze(name: str, *, members: Members, stop: Callable[[list[int]], None]) -> None:
    """`stop` (SIGSTOP, by pid) until every process is in state T, those forked meanwhile too. Raises: WaitTimeout."""

    def all_stopped() -> bool:
        moving = [each.pid for each in members() if each.state not in "Tt"]
        stop(moving)
        return not moving

    wait_for(
        all_stopped,
        awaiting=f"every process of {name} in state T",
        timeout_s=FREEZE_TIMEOUT_S,
        interval_s=0.005,
        seen=lambda: "\n".join(str(each) for each in members()),
    )


def state_of(members: Sequence[Process], *, is_healthy: Callable[[], bool], has_been_healthy: bool) -> State:
    """Judged by the service's own health check, which is asked only of processes that run."""
    if not members:
        return State.DOWN
    if all(each.state in "Tt" for each in members):
        return State.FROZEN
    if is_healthy():
        return State.HEALTHY
    return State.UNHEALTHY if has_been_healthy else State.STARTING
