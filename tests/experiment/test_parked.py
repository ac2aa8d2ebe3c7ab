"""What is parked: its key is held before its phone uploads it, and after a bite it stands there still, unless the fault
is one that may end its backend."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest.mock import MagicMock

import pytest

from harness.clock import utc_now
from harness.devices.balancer import Balancer
from harness.devices.generator import Shape
from harness.devices.runner import Fleet, Habits
from harness.errors import Inconclusive
from harness.experiment import experiment
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.faults.broker import KillRedis
from harness.faults.fault import Fault
from harness.faults.postgres import KillPostgres
from harness.faults.process import FreezeReplica, KillChild, KillReplica
from harness.ledger import Ledger
from harness.receipt import Injected, Receipt
from harness.tripwires.aim import Aim, targets
from harness.tripwires.tripwire import Parked, Point

POINT = Point(user_id=1, hk_uuid="u", batch_id="b", batch_key="k", chunk_index=3, sample="s")
PARKED = Parked(
    point=POINT, replica="worker-1", pid=7, backend_pid=70, receipt=Receipt(source="", before="before", after="after")
)


class Tripwire:
    """Holds, or does not any more."""

    def __init__(self, *, is_held: bool) -> None:
        self.is_held = is_held
        self.is_released = False

    def holds(self, parked: Parked) -> bool:
        return self.is_held

    def release(self) -> None:
        self.is_released = True


class Biting:
    """Harm of which every fault bites at once."""

    def inject(self, fault: Fault, *, wait: bool) -> Live:
        return Live(fault, "", Injected(name=fault.name, target=fault.target, injected_at=utc_now()))

    def await_bite(self, live: Live) -> Injected:
        return live.injected


class Silent:
    def enter(self, phase: str, *, deadline_s: float | None = None) -> None:
        """Nobody listens."""

    def note(self, text: str) -> None:
        """Nor here."""


class Parking(Experiment):
    """As much of an experiment as knows who is parked."""

    def __init__(self, tripwire: Tripwire) -> None:
        self._tripwires = {POINT: cast(Any, tripwire)}
        self._parked = [PARKED]
        self.harm = cast(Any, Biting())
        self.phases = cast(Any, Silent())
        self.executions = {(POINT.batch_key, POINT.chunk_index): 1}

    @property
    def faulted(self) -> bool:
        return True


def at_once(x: Experiment, fault: Fault) -> None:
    x.inject(fault)


def later(x: Experiment, fault: Fault) -> None:
    x.await_bite(x.inject(fault, wait=False))


WAYS = pytest.mark.parametrize("bite", [at_once, later])


@WAYS
@pytest.mark.parametrize("fault", [KillRedis(), FreezeReplica("worker-1")], ids=["a store", "its worker frozen"])
def test_who_left_his_tripwire_before_the_bite_proves_nothing(bite: Callable[..., None], fault: Fault) -> None:
    x = Parking(Tripwire(is_held=False))
    with pytest.raises(Inconclusive, match="not half done any more"):
        bite(x, fault)
    assert not x.executions, "what was demanded of a chunk that was harmed half done"


@WAYS
def test_who_still_waits_is_half_done(bite: Callable[..., None]) -> None:
    bite(Parking(Tripwire(is_held=True)), KillRedis())


@WAYS
@pytest.mark.parametrize(
    "fault",
    [KillReplica("worker-1"), KillChild("worker-1", pid=7), KillPostgres()],
    ids=["its worker killed", "its child killed", "its server killed"],
)
def test_harm_that_ends_who_is_parked_does_not_leave_him_there(bite: Callable[..., None], fault: Fault) -> None:
    bite(Parking(Tripwire(is_held=False)), fault)


def test_who_was_released_need_not_wait() -> None:
    tripwire = Tripwire(is_held=False)
    x = Parking(tripwire)
    x.release(PARKED)
    x.release(PARKED)
    at_once(x, KillRedis())
    assert tripwire.is_released


class Sending(Fleet):
    """Phones of which only the batch is looked at that is held back: whether its key was held in time."""

    def __init__(self, seen: list[str], **of_fleet: Any) -> None:
        super().__init__(**of_fleet)
        self._seen = seen

    def start(self) -> None:
        self._seen.append(f"begin, held back: {', '.join(self.habits.held_back)}")

    def let_upload(self, batch_key: str) -> None:
        self._seen.append(f"go on: {batch_key}")


class Aiming(Experiment):
    """As much of an experiment as begins and parks a chunk."""

    def __init__(self, ledger: Ledger, seen: list[str]) -> None:
        of_fleet = {
            "shape": Shape(seed=1, run="r", phones=2, samples=3_000),
            "balancer": Balancer({}),
            "ledger": ledger,
        }
        self.make_crowd = lambda x: Sending(seen, habits=x.habits, **of_fleet)
        self.habits = Habits()
        self.fleet = self.make_crowd(self)
        self.rng = random.Random(1)
        self.stack = self.times = cast(Any, MagicMock())
        self.phases = cast(Any, Silent())
        self.balancer = cast(Any, MagicMock())
        self.has_worked = False
        self.witnesses = {}
        self._tripwires, self._parked = {}, []

    def quiesce_deadline_s(self) -> float:
        return 1.0


@pytest.mark.parametrize("is_refused", [False, True], ids=["parked", "not parked"])
def test_a_phone_sends_no_chunk_before_its_key_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_refused: bool
) -> None:
    seen: list[str] = []

    class Laid:
        """A tripwire at which somebody stands at once, unless it cannot be laid."""

        def __init__(self, dsn: str, aim: Aim) -> None:
            seen.append(f"laid: {aim.batch_key}")
            if is_refused:
                raise Inconclusive("imported already")
            self.point = aim

        def wait_until_parked(self, **_: object) -> Parked:
            seen.append("waits")
            return PARKED

    monkeypatch.setattr(experiment, "MidChunk", Laid)
    monkeypatch.setattr(experiment, "point_of", lambda _, aim: aim)
    with Ledger(tmp_path) as ledger:
        x = Aiming(ledger, seen)
    [first, *others] = targets(x.fleet.plans, rng=random.Random(1))
    if is_refused:
        with pytest.raises(Inconclusive, match="no chunk could be parked"):
            x.park_chunk()
    else:
        assert x.park_chunk() is PARKED
    begun = [f"begin, held back: {first.batch_key}", f"laid: {first.batch_key}", f"go on: {first.batch_key}"]
    assert others, "nothing could be tried next"
    again = [step for aim in others for step in (f"laid: {aim.batch_key}", f"go on: {aim.batch_key}")]
    assert seen == begun + (again if is_refused else ["waits"])
