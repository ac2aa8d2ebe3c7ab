"""Interrupts: Ctrl-C and SIGTERM end a run once, in order; none disturbs the undoing."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Interrupts:
    """What becomes of the next one."""

    is_undoing: bool = False

    def undo(self) -> None:
        """The run has come to its end, and what it started is about to be undone: from now on they only say so."""
        self.is_undoing = True

    def handle(self, signum: int, _: FrameType | None) -> None:
        """The first one ends the run, unless it has come to its end."""
        if not self.is_undoing:
            self.is_undoing = True
            raise KeyboardInterrupt(signal.Signals(signum).name)
        sys.stderr.write("still undoing what was started …\n")


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """Within the block the first of SIGINT, SIGTERM, SIGHUP raises KeyboardInterrupt; later ones only say so."""
    interrupts = Interrupts()
    before = {each: signal.signal(each, interrupts.handle) for each in SIGNALS}
    try:
        yield interrupts
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
