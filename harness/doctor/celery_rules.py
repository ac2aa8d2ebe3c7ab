"""Celery and Redis settings that are known to lose, double or hide work, each with its hazard."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.deployment import Deployment, Service, number_in
from harness.doctor.finding import Finding, Severity

SOFT_WINDOWS = ("SOFT_SHUTDOWN_S", "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT")
VISIBILITY = ("VISIBILITY_TIMEOUT_S", "CELERY_VISIBILITY_TIMEOUT")
UNCLAIMED_LIMITS = ("CHUNK_HARD_LIMIT_S", "CELERY_TASK_TIME_LIMIT")
"""Limits of tasks that no claim protects from a second delivery; the other tasks' limit is under a claim of its own."""
DEFAULT_VISIBILITY_S = 3600.0
SOFT_MARGIN_S = 1.0
THREADED_POOLS = ("eventlet", "gevent", "threads", "solo", "processes")


def inert_remap(deployment: Deployment) -> Iterator[Finding]:
    """BILLIARD_REMAP_SIGTERM is a name that circulates and does nothing."""
    for one in _with(deployment, "BILLIARD_REMAP_SIGTERM"):
        yield Finding(
            "inert_remap", "W3", one.where, "BILLIARD_REMAP_SIGTERM does nothing", "set REMAP_SIGTERM=SIGQUIT"
        )


def unused_soft_window(deployment: Deployment) -> Iterator[Finding]:
    """A soft shutdown window that SIGTERM never opens: without the remap SIGTERM waits for tasks without a limit."""
    for one in deployment.of("worker"):
        if _number(one, SOFT_WINDOWS) and one.env.get("REMAP_SIGTERM") != "SIGQUIT":
            problem = "a soft shutdown window is set, but SIGTERM does not open it: REMAP_SIGTERM is not SIGQUIT"
            yield Finding("unused_soft_window", "W3", one.where, problem, "set REMAP_SIGTERM=SIGQUIT")


def soft_window_too_long(deployment: Deployment) -> Iterator[Finding]:
    """A soft window that is not over when SIGKILL comes: what runs then comes back only by redelivery or a sweep."""
    for one in deployment.of("worker"):
        window_s, stop_s = _number(one, SOFT_WINDOWS), _stop_timeout_s(one)
        if window_s is not None and stop_s is not None and window_s + SOFT_MARGIN_S >= stop_s:
            problem = f"the soft shutdown window, {window_s:g} s, does not end before SIGKILL comes, after {stop_s:g} s"
            remedy = "make the stop timeout longer than the window by what putting messages back takes"
            yield Finding("soft_window_too_long", "W3", one.where, problem, remedy)


def outlasted_stop(deployment: Deployment) -> Iterator[Finding]:
    """Warm shutdown waits for the task; a task that may outlast the stop timeout is killed in every deploy."""
    for one in deployment.of("worker"):
        limit_s, stop_s = _number(one, UNCLAIMED_LIMITS), _stop_timeout_s(one)
        is_warm = one.env.get("REMAP_SIGTERM") != "SIGQUIT"
        if is_warm and limit_s is not None and stop_s is not None and limit_s >= stop_s:
            problem = f"a task may run {limit_s:g} s, SIGKILL follows SIGTERM after {stop_s:g} s, and shutdown is warm"
            yield Finding("outlasted_stop", "W2", one.where, problem, "raise stop_grace_period, or set REMAP_SIGTERM")


def limit_above_visibility(deployment: Deployment) -> Iterator[Finding]:
    """A task that may run longer than the visibility timeout is delivered a second time while it runs."""
    for one in deployment.of("worker"):
        limit_s = number_in(one.option("--time-limit") or "") or _number(one, UNCLAIMED_LIMITS)
        visibility_s = _number(one, VISIBILITY) or DEFAULT_VISIBILITY_S
        if limit_s is not None and limit_s >= visibility_s:
            problem = f"time limit {limit_s:g} s ≥ visibility timeout {visibility_s:g} s, on a task without a claim"
            yield Finding(
                "limit_above_visibility", "T1", one.where, problem, "raise the visibility timeout or claim the work"
            )


def embedded_beat(deployment: Deployment) -> Iterator[Finding]:
    """`worker -B`: every replica schedules."""
    for one in deployment.of("worker"):
        if "-B" in one.command or "--beat" in one.command:
            yield Finding(
                "embedded_beat", "S8", one.where, "the worker runs a scheduler (-B)", "run beat by itself, once"
            )


def several_beats(deployment: Deployment) -> Iterator[Finding]:
    """More than one beat in one environment doubles every tick, unless a lease stands behind it."""
    for environment in sorted({one.environment for one in deployment.services}):
        beats = [one for one in deployment.of("beat") if one.environment == environment and one.command]
        count = sum(one.replicas for one in beats)
        if count > 1:
            yield Finding(
                "several_beats", "S1", beats[0].where, f"{count} beats are deployed", "deploy one; a lease is the net"
            )


def other_pool(deployment: Deployment) -> Iterator[Finding]:
    """Only prefork enforces hard time limits and survives a child's death."""
    for one in deployment.of("worker"):
        pool = one.option("-P", "--pool") or one.env.get("CELERY_WORKER_POOL", "prefork")
        if pool != "prefork":
            yield Finding(
                "other_pool", "W12", one.where, f"pool {pool}: no hard time limit ends a hung task", "use prefork"
            )


def shell_as_main(deployment: Deployment) -> Iterator[Finding]:
    """A shell as PID 1 passes no signal on: SIGTERM never arrives, SIGKILL does."""
    for one in deployment.services:
        if one.is_shell and one.role:
            yield Finding(
                "shell_as_main", "W11", one.where, "PID 1 is a shell", 'use the exec form: ["celery", …], or `exec`'
            )


def queue_without_consumer(deployment: Deployment) -> Iterator[Finding]:
    """A queue that tasks are routed to and that no worker listens to fills for ever."""
    workers = [one for one in deployment.of("worker") if one.command]
    for environment in sorted({one.environment for one in workers}):
        mine = [one for one in workers if one.environment == environment]
        heard = {queue for one in mine for queue in (one.option("-Q", "--queues") or "celery").split(",")}
        for queue in deployment.queues:
            if queue not in heard:
                problem = (
                    f"tasks are routed to {queue}, and no worker listens to it (heard: {', '.join(sorted(heard))})"
                )
                yield Finding("queue_without_consumer", "C5", mine[0].where, problem, f"add {queue} to a worker's -Q")
    for broker in deployment.brokers:
        for queue, waiting in broker.waiting.items():
            if waiting and broker.consumers == 0:
                problem = f"{waiting} messages wait in {queue} and nobody takes them"
                yield Finding("queue_without_consumer", "C5", broker.where, problem, "start a worker for it")


def eviction(deployment: Deployment) -> Iterator[Finding]:
    """A broker that may evict loses messages when memory is full."""
    for broker in deployment.brokers:
        if broker.eviction not in (None, "noeviction"):
            problem = f"maxmemory-policy is {broker.eviction}: queues and unacked messages may be evicted"
            yield Finding(
                "eviction", "B13", broker.where, problem, "set maxmemory-policy noeviction; split cache from broker"
            )


def not_durable(deployment: Deployment) -> Iterator[Finding]:
    """Without the append-only file a restart of Redis comes back empty."""
    for broker in deployment.brokers:
        if broker.appendonly is False:
            problem = "appendonly is off: a restart loses every queued message"
            yield Finding(
                "not_durable", "B2", broker.where, problem, "set appendonly yes, and have a sweeper", Severity.NOTE
            )


def _with(deployment: Deployment, name: str) -> list[Service]:
    return [one for one in deployment.services if name in one.env]


def _number(service: Service, names: tuple[str, ...]) -> float | None:
    found = (number_in(service.env.get(name, "")) for name in names)
    return next((number for number in found if number is not None), None)


def _stop_timeout_s(service: Service) -> float | None:
    """The shorter one of what the platform says and what the app was told."""
    told = _number(service, ("STOP_TIMEOUT_S",))
    known = [value for value in (service.stop_timeout_s, told) if value is not None]
    return min(known, default=None)
