"""After a bite the chunk that was parked must still be, unless the fault is one that may end its backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from harness.clock import utc_now
from harness.errors import Inconclusive
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.faults.broker import KillRedis
from harness.faults.fault import Fault
from harness.faults.postgres import KillPostgres
from harness.faults.process import FreezeReplica, KillChild, KillReplica
from harness.receipt import Injected, Receipt
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


class Parking(Experiment):
    """As much of an experiment as knows who is parked."""

    def __init__(self, tripwire: Tripwire) -> None:
        self._tripwires = {POINT: cast(Any, tripwire)}
        self._parked = [PARKED]
        self.harm = cast(Any, Biting())
        self.phases = cast(Any, Silent())

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
    with pytest.raises(Inconclusive, match="not half done any more"):
        bite(Parking(Tripwire(is_held=False)), fault)


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
