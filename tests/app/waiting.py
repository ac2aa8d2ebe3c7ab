"""Waiting in the app's tests: for a condition, never for time; long enough for a machine that is busy."""

import time
from collections.abc import Callable
from typing import Final

from harness.clock import wait_for

PATIENCE_S: Final = 60.0
"""What any one step may take. It passes as soon as the step is done, so only a failure costs so long."""
LOG_TAIL: Final = 3000


def wait_until(
    is_true: Callable[[], bool], *, what: str, within_s: float = PATIENCE_S, log: Callable[[], str] = str
) -> float:
    """Poll until `is_true`; returns the seconds that it took. Raises: WaitTimeout with the end of the log."""
    started_s = time.monotonic()
    wait_for(is_true, awaiting=what, timeout_s=within_s, seen=lambda: log()[-LOG_TAIL:])
    return time.monotonic() - started_s
