"""Contention: how much longer than its own CPU time this process' work takes, because others want the same cores.

A deadline drawn from the control is right as long as the machine gives a scenario what it gave the control; on a
shared runner it often does not. The kernel's scheduler says for each thread how long it ran and how long it was ready
and had to wait (`/proc/<pid>/task/<tid>/schedstat`, proc(5)).
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

THREADS: Final = Path("/proc/self/task")
LEAST_RAN_NS: Final = 50_000_000
"""Below this, the share says more about chance than about the machine."""


class Contention:
    """Of this process' threads, from when it was made. Where the kernel does not tell, nobody is ever in the way."""

    def __init__(self, threads: Path = THREADS) -> None:
        """`threads` is where the kernel lists them."""
        self._threads = threads
        self._begun = self._readings()

    def stretch(self) -> float:
        """(ran + waited) / ran since then, over the threads that live now: 1 on an idle machine."""
        ran = waited = 0
        for thread, (ran_ns, waited_ns) in self._readings().items():
            before = self._begun.get(thread, (0, 0))
            ran += ran_ns - before[0]
            waited += waited_ns - before[1]
        return (ran + waited) / ran if ran >= LEAST_RAN_NS else 1.0

    def _readings(self) -> dict[str, tuple[int, int]]:
        """Nanoseconds run and waited of each thread. One that ends meanwhile is left out."""
        found: dict[str, tuple[int, int]] = {}
        with suppress(FileNotFoundError):
            for thread in self._threads.iterdir():
                with suppress(OSError):
                    ran, waited, _ = (thread / "schedstat").read_text().split()
                    found[thread.name] = (int(ran), int(waited))
        return found
