"""The fleet: which phones begin when."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.devices.balancer import Balancer
from harness.devices.generator import Shape
from harness.devices.phone import Phone
from harness.devices.runner import Fleet, Habits
from harness.ledger import Ledger


def test_phones_that_come_late_begin_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(Phone, "register", lambda phone: begun.append(phone.plan.device))
    late = frozenset({"r-u1/d0", "r-u2/d0"})
    shape = Shape(seed=1, run="r", phones=4, samples=400)
    ledger = Ledger(tmp_path)
    fleet = Fleet(shape, balancer=Balancer({}), ledger=ledger, habits=Habits(late=late))
    fleet.start()
    assert fleet.join(timeout_s=30.0)
    assert sorted(begun) == ["r-u0/d0", "r-u0/d1"]
    fleet.start_late()
    assert fleet.join(timeout_s=30.0)
    assert sorted(begun[2:]) == sorted(late)
    assert fleet.errors() == ()
    ledger.close()
