"""The fleet: which phones begin when, and what they send together or hold back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import wait_for
from harness.devices import probes
from harness.devices.balancer import Balancer
from harness.devices.generator import BatchPlan, Shape
from harness.devices.phone import OpenBatch, Phone
from harness.devices.runner import Fleet, Habits
from harness.ledger import Ledger

NOBODY = {"api-1": "http://127.0.0.1:9"}
"""A port of the host at which nobody listens."""


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
    fleet.wait_uploaded(timeout_s=30.0)
    for _ in range(2):
        fleet.start_late()
        assert fleet.join(timeout_s=30.0)
        assert sorted(begun[2:]) == sorted(late)
    assert fleet.errors() == ()
    ledger.close()


@pytest.mark.parametrize(
    "end", [lambda fleet: fleet.join(timeout_s=60.0), Fleet.stop], ids=["waited for", "told to stop"]
)
def test_phones_pause_until_they_are_waited_for(tmp_path: Path, end: Callable[[Fleet], object]) -> None:
    """Nobody answers them: each notes one op that failed, and pauses for far longer than this test waits."""
    with Ledger(tmp_path) as ledger:
        habits = Habits(pace_s=300.0, retry_for_s=0.0)
        shape = Shape(seed=1, run="r", phones=2, samples=400)
        fleet = Fleet(shape, balancer=Balancer(NOBODY), ledger=ledger, habits=habits)
        fleet.start()
        wait_for(lambda: fleet.tally().unknown_ops == 2, awaiting="an op of each", timeout_s=30.0)
        assert fleet.is_running
        end(fleet)
        wait_for(lambda: not fleet.is_running, awaiting="the phones", timeout_s=60.0)
        assert fleet.errors() == ()


@pytest.mark.parametrize("is_stopped", [False, True], ids=["told to go on", "told to stop"])
def test_nothing_of_a_batch_that_is_held_back_is_uploaded_before_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    sent: list[str] = []
    started: list[str] = []

    def start(_: Phone, batch: BatchPlan) -> OpenBatch:
        started.append(batch.key)
        return OpenBatch(plan=batch, batch_id=batch.key, acknowledged=set())

    monkeypatch.setattr(Phone, "register", lambda _: True)
    monkeypatch.setattr(Phone, "start", start)
    monkeypatch.setattr(Phone, "upload", lambda _, opened, index: sent.append(opened.plan.key))
    shape = Shape(seed=1, run="r", phones=1, samples=1_500)
    habits = Habits(has_extras=False, syncs=0, is_polling=False, together=frozenset())
    ledger = Ledger(tmp_path)
    [plan] = Fleet(shape, balancer=Balancer({}), ledger=ledger).plans
    first, held, *_ = (batch.key for batch in plan.batches)
    fleet = Fleet(shape, balancer=Balancer({}), ledger=ledger, habits=replace(habits, held_back=frozenset({held})))
    fleet.let_upload(first)
    fleet.start()
    wait_for(lambda: held in started, awaiting="the batch to be begun", timeout_s=30.0)
    assert not fleet.join(timeout_s=0.3)
    assert set(sent) == {first}
    if is_stopped:
        fleet.stop()
    else:
        fleet.let_upload(held)
    assert fleet.join(timeout_s=30.0)
    assert set(sent) == ({first} if is_stopped else {batch.key for batch in plan.batches})
    assert fleet.errors() == ()
    ledger.close()


@pytest.mark.parametrize("are_meant", [True, False], ids=["these", "none"])
def test_the_last_two_chunks_of_some_batches_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, are_meant: bool
) -> None:
    sent: list[tuple[str, tuple[int, ...]]] = []
    monkeypatch.setattr(Phone, "start", lambda _, batch: OpenBatch(plan=batch, batch_id=batch.key, acknowledged=set()))
    monkeypatch.setattr(Phone, "upload", lambda _, opened, index: sent.append((opened.plan.key, (index,))))
    monkeypatch.setattr(
        probes, "upload_together", lambda _, opened, indexes: sent.append((opened.plan.key, tuple(indexes)))
    )
    shape = Shape(seed=1, run="r", phones=1, samples=1_500)
    ledger = Ledger(tmp_path)
    fleet = Fleet(shape, balancer=Balancer({}), ledger=ledger)
    [plan] = fleet.plans
    batch = max(plan.batches, key=lambda each: len(each.chunks))
    fleet.habits = Habits(has_extras=False, together=frozenset({batch.key}) if are_meant else frozenset())
    with fleet.phone(plan) as phone:
        for each in plan.batches:
            fleet._send(phone, each, rng=random.Random(1))
    ledger.close()
    pairs = [(key, len(indexes)) for key, indexes in sent if len(indexes) > 1]
    assert pairs == ([(batch.key, 2)] if are_meant else [])
    of_batch = sorted(index for key, indexes in sent if key == batch.key for index in indexes)
    assert of_batch == list(range(len(batch.chunks)))
