"""Steady state: what must be true of a stack before a scenario begins and again after it has ended."""

from __future__ import annotations

from collections.abc import Callable

from harness.anomaly import Anomaly, Kind
from harness.clock import Timeout, seconds, wait_for
from harness.drivers.protocol import STORES, Stack, State
from harness.errors import WaitTimeout
from harness.experiment.health import import_problems
from harness.times import Times

GATE_ALLOWANCE_S = 30.0
"""What a slow or crowded machine may need, beside the stack's own times, before anything of this run was measured."""


def gate_problems(stack: Stack, *, times: Times, crowding: Callable[[], float]) -> list[Anomaly]:
    """Why the stack is not fit to begin: a replica that is not healthy, or a health check that alarms over nothing.

    `crowding` is how many times longer than on an idle machine everything takes now.
    """
    return _unsteady(stack, timeout_s=lambda: (_own_s(times) + GATE_ALLOWANCE_S) * crowding(), alarm=Kind.FALSE_ALARM)


def steady_problems(
    stack: Stack, *, times: Times, allowance_s: Timeout, crowding: Callable[[], float] = lambda: 1.0
) -> list[Anomaly]:
    """What did not come back after the scenario, within its own times and what this machine needs besides.

    `crowding` is how many times more crowded it is than during the control; the allowance knows already.
    """
    return _unsteady(
        stack, timeout_s=lambda: _own_s(times) * crowding() + seconds(allowance_s), alarm=Kind.NOT_RECOVERED
    )


def glance(stack: Stack) -> dict[str, str]:
    """The state of every replica and store by its processes alone, cheap enough to be looked at all the time.

    A replica that runs counts as healthy here; whether it is, its own health check says (`gate_problems`).
    """
    states: dict[str, str] = {}
    for name in (*stack.replicas(), *STORES):
        processes = stack.processes(name)
        if not processes:
            states[name] = State.DOWN.value
        elif all(each.state in "Tt" for each in processes):
            states[name] = State.FROZEN.value
        else:
            states[name] = State.HEALTHY.value
    return states


def _own_s(times: Times) -> float:
    """How long an alarm over what is past may last, and a new leader may take."""
    return times.overdue_s + 2 * times.sweep_interval_s + times.beat_lease_s


def _unsteady(stack: Stack, *, timeout_s: Callable[[], float], alarm: Kind) -> list[Anomaly]:
    """Wait until all replicas are healthy and no api replica alarms; what is left at the end is wrong."""
    well: set[str] = set()

    def is_steady() -> bool:
        # Each replica is asked until it says yes once: a worker's check starts an interpreter.
        for name in (*stack.replicas(), *STORES):
            if name not in well and stack.state(name) is State.HEALTHY:
                well.add(name)
        return len(well) == len(stack.replicas()) + len(STORES) and not _alarms(stack)

    try:
        wait_for(is_steady, awaiting="steady state", timeout_s=timeout_s, interval_s=0.2)
    except WaitTimeout as error:
        # One more look: on a slow machine the checks themselves may have taken up the time.
        last = {name: stack.state(name) for name in (*stack.replicas(), *STORES) if name not in well}
        unhealthy = [
            Anomaly(
                kind=Kind.NOT_RECOVERED,
                summary=f"{name} is {state.value}, not healthy, for {error.waited_s:.0f} s",
                ids={"service": name},
            )
            for name, state in last.items()
            if state is not State.HEALTHY
        ]
        alarms = [
            Anomaly(kind=alarm, summary=f"/health/imports still alarms: {text}", ids={"service": replica})
            for replica, text in _alarms(stack)
        ]
        return unhealthy + alarms
    return []


def _alarms(stack: Stack) -> list[tuple[str, str]]:
    problems = import_problems(stack)
    return [(each.replica, each.text) for each in problems.found] + [
        (each.partition(":")[0], f"no readable answer ({each})") for each in problems.unreadable
    ]
