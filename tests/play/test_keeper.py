"""The keeper's end: what interrupts it then does not keep it from undoing what it started."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from harness.drivers.protocol import Stack
from harness.errors import DriverError
from harness.interrupt import interruptible
from harness.play import keeper, place
from harness.play.round import Order

ORDER = Order(driver="processes", phones=0, samples=0, pace_s=0.05, seed=7)


@dataclass
class Unstartable:
    """A stack that does not come up; an operator who loses patience while it is taken down."""

    done: list[str] = field(default_factory=list)

    def start(self) -> None:
        raise DriverError("no")

    def down(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        self.done.append("down")


def test_an_interrupt_while_a_failed_start_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "play_home", lambda: tmp_path)
    stack = Unstartable()
    with interruptible() as interrupts, pytest.raises(DriverError):
        keeper._serve(cast(Stack, stack), ORDER, interrupts)
    assert stack.done == ["down"]
