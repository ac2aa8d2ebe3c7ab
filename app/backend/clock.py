"""Time as the app sees it. The only module that may sleep.

Durations are monotonic seconds; stamps are aware UTC. Times that several services compare (claims, leases, due
times) are taken from the database's clock instead.
"""

import time
from datetime import UTC, datetime


def monotonic_s() -> float:
    """Seconds of a clock that never goes back; only differences mean anything."""
    return time.monotonic()


def wall_s() -> float:
    """Seconds since 1970 by this host's clock; for windows that replicas share roughly, never for durations."""
    return time.time()


def now_utc() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)


def sleep_s(duration_s: float) -> None:
    """Block this thread for `duration_s` seconds."""
    time.sleep(duration_s)
