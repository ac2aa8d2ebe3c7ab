"""The end of a load run: what interrupts it then does not keep it from undoing what it started."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.drivers.choice import Choice
from harness.errors import DriverError
from harness.load import run
from harness.load.run import LoadRun
from harness.load.scene import Scene
from tests.load.conftest import MakeOrder

done: list[str] = []


class Stubborn:
    """A pool; an operator who loses patience while it is closed."""

    def __init__(self, *, make: object) -> None:
        self.make = make

    def close(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("closed")


def test_an_interrupt_while_a_failed_run_is_undone(
    order: MakeOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise DriverError("no")

    monkeypatch.setattr(run, "choose", lambda asked: Choice(asked, "asked for", lambda _: fail))
    monkeypatch.setattr(run, "new_run_directory", lambda _: tmp_path)
    monkeypatch.setattr(run, "Pool", Stubborn)
    monkeypatch.setattr(run, "play", fail)
    load = LoadRun(scene=Scene(order=order()), driver="processes", replay=("lab", "load"))
    with pytest.raises(DriverError):
        load.run(Console(quiet=True))
    assert done == ["closed"]
