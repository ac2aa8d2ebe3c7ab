"""Versions that are known to lose work. Each entry was reproduced, or is fixed by the release that is named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.doctor.deployment import Deployment
from harness.doctor.finding import Finding, Severity

Bounds = tuple[str, str]
"""At least, below; an empty text is no bound."""


@dataclass(frozen=True, slots=True)
class BadVersions:
    """Bad when every package named is pinned within its bounds. `source` is where it is told."""

    name: str
    hazard: str
    packages: Mapping[str, Bounds]
    problem: str
    remedy: str
    source: str
    severity: Severity = Severity.UNSAFE


BAD: tuple[BadVersions, ...] = (
    BadVersions(
        "deaf_after_reconnect",
        "B1",
        {"kombu": ("5.2.3", "5.4.0")},
        "after Redis restarts the worker lives, says that it is connected, and consumes nothing",
        "kombu 5.4.0 or newer",
        "celery#8030, kombu#2007",
    ),
    BadVersions(
        "crash_on_broker_loss",
        "B1",
        {"celery": ("5.7.0", "5.7.1")},
        "the worker crashes when Redis goes away while it holds unacknowledged messages, "
        "and loses the first message after a half-open connection",
        "celery 5.6.3 with kombu 5.6.2",
        "celery#10242",
    ),
    BadVersions(
        "cold_shutdown_acks",
        "W3",
        {"celery": ("", "5.5.0"), "billiard": ("4.2.3", "")},
        "a cold shutdown (SIGQUIT, REMAP_SIGTERM) acknowledges and loses the running task",
        "celery 5.5.0 or newer, or billiard 4.2.2",
        "billiard#435",
    ),
    BadVersions(
        "cold_shutdown_drops",
        "W3",
        {"celery": ("", "5.7.0"), "billiard": ("4.3.0", "4.3.1")},
        "a cold shutdown acknowledges and drops the running task, even with reject_on_worker_lost",
        "billiard 4.2.4, or 4.3.1 and newer",
        "celery#10659, billiard#452",
    ),
    BadVersions(
        "popped_on_shutdown",
        "W1",
        {"kombu": ("", "5.3.2")},
        "a message that arrives while a worker shuts down is popped and lost",
        "kombu 5.3.2 or newer",
        "kombu#1733",
    ),
    BadVersions(
        "requeue_loses_index",
        "W5",
        {"kombu": ("", "5.3.3")},
        "a requeued message can lose its index and is then never restored",
        "kombu 5.3.3 or newer",
        "kombu#1800",
    ),
    BadVersions(
        "orphaned_children",
        "W6",
        {"celery": ("", "5.2.0")},
        "children go on after their main process was killed, and the task runs twice",
        "celery 5.2.0 or newer",
        "celery#6942",
    ),
    BadVersions(
        "remap_ignored",
        "W3",
        {"celery": ("", "4.4.7")},
        "REMAP_SIGTERM is ignored",
        "celery 4.4.7 or newer",
        "celery 92df000",
    ),
    BadVersions(
        "no_soft_shutdown",
        "W3",
        {"celery": ("4.4.7", "5.5.0")},
        "worker_soft_shutdown_timeout is silently ignored",
        "celery 5.5.0 or newer",
        "celery 5.5.0's notes",
        Severity.NOTE,
    ),
    BadVersions(
        "reconnect_crash_loop",
        "B5",
        {"celery": ("5.4.0", "5.6.3"), "kombu": ("5.4.0", "5.7.0")},
        "connections that are reset again and again can stop the worker",
        "celery 5.6.3, or kombu 5.7.0",
        "celery#10205",
        Severity.NOTE,
    ),
    BadVersions(
        "beat_sends_again",
        "S6",
        {"django-celery-beat": ("", "2.6.0")},
        "an edit of the schedule at the wrong moment sends a task every few seconds",
        "django-celery-beat 2.6.0 or newer",
        "django-celery-beat#388",
    ),
    BadVersions(
        "beat_repeats_after_outage",
        "S6",
        {"django-celery-beat": ("2.6.0", "2.9.1")},
        "after Postgres was away the stock DatabaseScheduler sends jobs again",
        "a scheduler that records its ticks, as the reference app has",
        "django-celery-beat#558",
        Severity.NOTE,
    ),
    BadVersions(
        "limits_lost_on_reconnect",
        "W12",
        {"celery": ("", "5.7.0")},
        "a running task loses its time limits when the broker connection is lost",
        "a claim with a timeout of its own, as the reference app has",
        "celery#10888",
        Severity.NOTE,
    ),
    BadVersions(
        "missing_packaging",
        "D7",
        {"kombu": ("5.7.0", "5.7.1"), "!packaging": ("", "")},
        "kombu 5.7.0 does not start without the package packaging",
        "install celery[redis]",
        "kombu#2524",
    ),
    BadVersions(
        "redis_py_out_of_range",
        "B4",
        {"kombu": ("5.5.0", "5.7.0"), "redis": ("6.5.0", "")},
        "redis-py is newer than this kombu allows: recovery from a silent connection takes minutes",
        "redis 6.4.0 with kombu 5.6.2",
        "kombu 5.6.2's requirements",
    ),
)


def bad_versions(deployment: Deployment) -> Iterator[Finding]:
    """Every entry whose packages are all pinned within its bounds."""
    for bad in BAD:
        if all(_applies(name, bounds, deployment.pins) for name, bounds in bad.packages.items()):
            seen = ", ".join(f"{name} {deployment.pins[name]}" for name in bad.packages if name in deployment.pins)
            problem = f"{seen}: {bad.problem} ({bad.source})"
            yield Finding(bad.name, bad.hazard, deployment.pins_from, problem, bad.remedy, bad.severity)


def _applies(name: str, bounds: Bounds, pins: Mapping[str, str]) -> bool:
    if name.startswith("!"):
        return bool(pins) and name[1:] not in pins
    if name not in pins:
        return False
    low, high = bounds
    version = _key(pins[name])
    return (not low or version >= _key(low)) and (not high or version < _key(high))


def _key(version: str) -> tuple[int, ...]:
    """Release numbers; what follows them (rc1, .post1) does not count. Padded, so that 5.7 equals 5.7.0."""
    numbers = (int(number) for number in re.findall(r"\d+", re.split(r"[a-z+]", version)[0]))
    return (*numbers, 0, 0, 0, 0)[:4]
