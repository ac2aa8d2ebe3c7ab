"""Orders and ledgers made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.ledger import Attempt, Ledger, Op, Outcome
from harness.load.order import LoadOrder
from harness.load.shapes import LoadShape

MakeOrder = Callable[..., LoadOrder]


@pytest.fixture
def order(tmp_path: Path) -> MakeOrder:
    base = LoadOrder(
        seed=7,
        shape=LoadShape.STEADY,
        rate_per_s=2.0,
        users=40,
        run_time_s=30.0,
        samples_per_phone=600,
        targets={"api-1": "http://127.0.0.1:9"},
        directory=str(tmp_path / "processes"),
    )

    def make(**changes: Any) -> LoadOrder:
        return replace(base, **changes)

    return make


class Notes:
    """Writes ops whose times are given in seconds after noon.

    `tries_before` attempts bring no answer, one a second.
    """

    def __init__(self, directory: Path) -> None:
        self.ledger = Ledger(directory)
        self.directory = directory
        self._number = 0

    def op(self, kind: str, *, at_s: float, took_s: float, device: str = "load-u1/d0", **said: Any) -> None:
        self._number += 1
        outcome, code = said.pop("outcome", Outcome.OK), said.pop("code", None)
        attempts = []
        for each in (*(Outcome.UNKNOWN for _ in range(said.pop("tries_before", 0))), outcome):
            attempts.append(attempt(at_s=at_s, took_s=took_s, outcome=each, code=code))
            at_s += 1.0
        user = device.partition("/")[0]
        self.ledger.op(
            Op(f"o{self._number}", kind, user=user, device=device, outcome=outcome, attempts=tuple(attempts), **said)
        )


def attempt(*, at_s: float, took_s: float, outcome: Outcome, code: str | None) -> Attempt:
    return Attempt(
        at=stamp(at_s), ended=stamp(at_s + took_s), took_s=took_s, replica="api-1", outcome=outcome, code=code
    )


def stamp(at_s: float) -> str:
    minutes, seconds = divmod(at_s, 60)
    return f"2026-04-10T12:{int(minutes):02d}:{seconds:06.3f}+00:00"


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    made = Notes(tmp_path / "ledger")
    yield made
    made.ledger.close()
