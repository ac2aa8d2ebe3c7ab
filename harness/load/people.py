"""The people of a load run: what their phones send and how fast, and how a dashboard of theirs is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from harness.devices.generator import BatchPlan, DevicePlan, next_sync, person_plans, phones_of
from harness.devices.sample import Mark
from harness.devices.streams import ZONES
from harness.load.order import LoadOrder

DASHBOARD: Final = "dashboard"
READ_S: Final = 0.25
"""What a phone takes to read the samples of one chunk out of its health store, before it can send them."""
SYNCED_TYPES: Final = 2
"""Of so many types a phone sends an incremental sync after its backfill."""
FIRST_DAY, LAST_DAY = date(2026, 3, 1), date(2026, 5, 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a phone will send, and the seconds that it needs for its backfill where nobody keeps it waiting."""

    samples: int
    sends_s: float


def offer_of(order: LoadOrder, plan: DevicePlan) -> Offer:
    """The whole of a phone's life in samples: its backfill and its syncs."""
    syncs = [sync_after(order, plan, batch=batch, anchor=None) for batch in plan.batches[:SYNCED_TYPES]]
    return Offer(
        samples=plan.sample_count + sum(each.sample_count for each in syncs),
        sends_s=READ_S * sum(len(batch.chunks) for batch in plan.batches),
    )


def sync_after(order: LoadOrder, plan: DevicePlan, *, batch: BatchPlan, anchor: str | None) -> BatchPlan:
    """A phone's incremental sync after a batch of its backfill."""
    return next_sync(plan, batch=batch, anchor=anchor, turn=1, shape=order.data())


def phones_plans(order: LoadOrder, *, person: int) -> tuple[DevicePlan, ...]:
    """The plans of all of a person's phones; about 60 µs a sample, so made before the clock runs."""
    return tuple(person_plans(order.data(), person=person, phones=phones_of(person), target=order.samples_per_phone))


def account(order: LoadOrder, *, person: int) -> str:
    """What the lab calls the account, as in the plans."""
    return f"{order.run}-u{person}"


def zone_of(person: int) -> str:
    """Where a person lives, as in the plans."""
    return ZONES[person % len(ZONES)]


def named_phone(order: LoadOrder, *, person: int, number: int) -> DevicePlan:
    """A phone by its names alone, as in the plans but without what it sends."""
    user = account(order, person=person)
    name = f"Phone {number} of {user}"
    return DevicePlan(user=user, device=f"{user}/d{number}", name=name, zone=zone_of(person), batches=())


def reader_plan(order: LoadOrder, *, person: int, number: int) -> DevicePlan:
    """A dashboard that is opened on a person's account: a device that sends nothing."""
    user = account(order, person=person)
    device = f"{user}/{DASHBOARD}{number}"
    return DevicePlan(user=user, device=device, name=f"Dashboard {number}", zone=zone_of(person), batches=())


def is_alone(person: int) -> bool:
    """Whether only one phone writes into this account, so that its own samples are all that the aggregates count."""
    return phones_of(person) == 1


def valid_in(batches: Sequence[BatchPlan]) -> int:
    """How many records these batches must leave, if nothing else of the account holds the same samples."""
    return sum(sample.mark is Mark.VALID for batch in batches for chunk in batch.chunks for sample in chunk)
