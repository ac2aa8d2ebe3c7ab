"""Standstills: spans in which the whole machine stood still, as a paused virtual machine or a suspended host does.

All processes stop and go on together, and the clocks jump. What is late, silent or out of bounds then says nothing
about the system under test; what became of its data still does.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from harness.clock import utc_now

INTERVAL_S: Final = 0.25
LEAST_S: Final = 1.0
"""A sweep's interval and the bound of a publish in the lab: what is shorter makes nothing late."""
OWN_SCHEDSTAT: Final = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True, slots=True)
class Standstill:
    """One of them; `until` is when the machine went on."""

    until: datetime
    lasted_s: float

    def __str__(self) -> str:
        return f"the machine stood still for {self.lasted_s:.1f} s until {self.until.isoformat(timespec='seconds')}"


@dataclass(slots=True)
class StandstillWatch:
    """A thread that sleeps and looks for how long it really slept. `start` … `stop`.

    A thread that sleeps is in nobody's way, so a crowded machine shows only in the time that it waited for a processor
    afterwards, which the kernel tells (`/proc/thread-self/schedstat`, proc(5)) and which is not counted. Where it does
    not tell, nothing is seen.
    """

    seen: list[Standstill] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look."""
        if OWN_SCHEDSTAT.exists():
            self._thread = threading.Thread(target=self._watch, name="standstill", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LEAST_S)

    def note(self, *, slept_s: float, waited_s: float) -> None:
        """Keep it if the sleep lasted longer than it should have, and waiting for a processor does not explain it."""
        lost_s = slept_s - INTERVAL_S - waited_s
        if lost_s >= LEAST_S:
            self.seen.append(Standstill(until=utc_now(), lasted_s=lost_s))

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            # In this order, so that a wait for a processor between the two is not taken for a part of the sleep.
            waited_s, begun_s = _waited_s(), _now_s()
            is_over = self._stop.wait(INTERVAL_S)
            slept_s = _now_s() - begun_s
            self.note(slept_s=slept_s, waited_s=_waited_s() - waited_s)


def _now_s() -> float:
    """A clock that goes on while a host is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _waited_s() -> float:
    """How long this thread has been ready and had no processor."""
    _, waited_ns, _ = OWN_SCHEDSTAT.read_text(encoding="ascii").split()
    return int(waited_ns) / 1e9
