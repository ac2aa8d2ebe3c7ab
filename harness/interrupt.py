"""Interrupts: Ctrl-C and SIGTERM end a run once, in order; further ones do not disturb the undoing."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the first of SIGINT, SIGTERM, SIGHUP raises KeyboardInterrupt; later ones only say so."""
    seen: list[int] = []

    def handle(signum: int, _: FrameType | None) -> None:
        seen.append(signum)
        if len(seen) == 1:
            raise KeyboardInterrupt(signal.Signals(signum).name)
        sys.stderr.write("still undoing what was started …\n")

    before = {each: signal.signal(each, handle) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
