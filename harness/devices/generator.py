"""Plans: what each simulated phone will send, out of one seed.

The same seed, number of phones and size give the same samples, UUIDs, chunks and marks, whenever it is run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from harness.devices.landmarks import landmarks
from harness.devices.sample import US_PER_S, Mark, Sample
from harness.devices.specials import bad_samples, conflict, duplicates, near_twins
from harness.devices.streams import (
    WINDOW_DAYS,
    WINDOW_START,
    ZONES,
    Wearer,
    new_uuid,
    samples_at,
    samples_per_slot,
    slot_count,
    wearer,
)
from harness.devices.types import SAMPLE_TYPES, SampleType

CHUNK_SIZE = 100
# What devices of all people call one of their imports: a key is a device's own.
EVERYBODYS_KEY = "everybody's import"
EVERYBODYS_ANCHOR = "everybody's anchor"
"""Where every backfill ends: an anchor is opaque, and its device's and type's own."""
# What one person's devices record in thirty days, about.
FULL_MONTH = 35_000
_FEWEST_PER_TYPE = 10
_OFTEN_TWO_PHONES = 4
_SYNC_SLOTS = 12
_LATE = 3
# Local days begin on a whole quarter of an hour, wherever one lives.
_QUARTER_US = 900 * US_PER_S
_MS_US = 1000


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """One import: samples of one type, cut into chunks. `key` names it in this run and is its idempotency key.

    One that `is_everybodys` is sent under EVERYBODYS_KEY instead.
    """

    key: str
    type: str
    starting_anchor: str | None
    new_anchor: str | None
    chunks: tuple[tuple[Sample, ...], ...]
    is_everybodys: bool = False

    @property
    def idempotency_key(self) -> str:
        """The key that is sent."""
        return EVERYBODYS_KEY if self.is_everybodys else self.key

    @property
    def sample_count(self) -> int:
        """Samples in all chunks."""
        return sum(len(chunk) for chunk in self.chunks)


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """One phone: whose it is, and its backfill. `number` counts its user's phones."""

    user: str
    device: str
    name: str
    zone: str
    batches: tuple[BatchPlan, ...]
    number: int = 0

    @property
    def sample_count(self) -> int:
        """Samples in all batches."""
        return sum(batch.sample_count for batch in self.batches)


@dataclass(frozen=True, slots=True)
class Shape:
    """How much and what is generated. `samples` is the least number over all phones.

    `specials` switches near twins, duplicates, conflicts and bad samples; `run` goes into every key, so that two
    runs against one stack do not meet, and into nothing else. `days` and `start` give the window.
    """

    seed: int
    phones: int = 10
    samples: int = 20_000
    chunk_size: int = CHUNK_SIZE
    specials: bool = True
    run: str = "r"
    start: datetime = WINDOW_START
    days: int = WINDOW_DAYS


def plans(shape: Shape) -> Iterator[DevicePlan]:
    """One plan a phone, made when asked for: only one person's samples are in memory at a time.

    Every fourth person has two phones, which send partly the same samples.
    """
    per_phone = -(-shape.samples // max(1, shape.phones))
    made = person = 0
    while made < shape.phones:
        phones = min(phones_of(person), shape.phones - made)
        yield from person_plans(shape, person=person, phones=phones, target=per_phone)
        made += phones
        person += 1


def phones_of(person: int) -> int:
    """How many phones a person has."""
    return 2 if person % _OFTEN_TWO_PHONES == 0 else 1


def person_plans(shape: Shape, *, person: int, phones: int, target: int) -> Iterator[DevicePlan]:
    """The plans of one person's phones, about `target` samples each; the same whoever else is planned."""
    # Seeding by text is stable across processes and versions (random seeds strings through sha512).
    rng = random.Random(f"{shape.seed}/{person}")
    user = f"{shape.run}-u{person}"
    owner = wearer(user=user, zone=ZONES[person % len(ZONES)])
    for number in range(phones):
        yield _device(
            shape, owner=owner, user=user, number=number, target=target, rng=rng, seed=f"{shape.seed}/{person}"
        )


def _device(
    shape: Shape, *, owner: Wearer, user: str, number: int, target: int, rng: random.Random, seed: str
) -> DevicePlan:
    device = f"{user}/d{number}"
    batches = tuple(
        _batch(kind, shape=shape, owner=owner, device=device, number=number, target=target, rng=rng, seed=seed)
        for kind in SAMPLE_TYPES
    )
    name = f"Phone {number} of {user}"
    return DevicePlan(user=user, device=device, name=name, zone=owner.zone, batches=batches, number=number)


def _batch(
    kind: SampleType,
    *,
    shape: Shape,
    owner: Wearer,
    device: str,
    number: int,
    target: int,
    rng: random.Random,
    seed: str,
) -> BatchPlan:
    prefix = f"{device}/{kind.name}"
    slots = slot_count(kind, days=shape.days)
    share = target * WINDOW_DAYS / (FULL_MONTH * shape.days)
    wanted = min(slots, max(round(_FEWEST_PER_TYPE / samples_per_slot(kind)), ceil(slots * share)))
    # Both phones of a person see one health store, of which each sends its own selection.
    chosen = [
        sample if not is_shared else replace(sample, mark=Mark.DUPLICATE)
        for slot, is_shared in _selected(slots, wanted=wanted, number=number, seed=f"{seed}/{kind.name}")
        for sample in samples_at(kind, slot, wearer=owner, prefix=prefix, seed=seed, start=shape.start)
    ]
    ready = chosen
    if shape.specials:
        # A second phone of the same person sends them again.
        marked = landmarks(kind, owner=owner, prefix=prefix, mark=Mark.DUPLICATE if number else Mark.VALID)
        ready = [*_with_specials(chosen, owner=owner, prefix=prefix, rng=rng), *marked]
        if not number:
            # Of types with few samples the stream has no twins.
            ready += near_twins(marked[0], wearer=owner, prefix=f"{prefix}/landmark", rng=rng)
    key = f"{prefix}/b0"
    return BatchPlan(
        key=key,
        type=kind.identifier,
        starting_anchor=None,
        new_anchor=EVERYBODYS_ANCHOR if shape.specials else f"{key}/end",
        chunks=cut(ready, size=shape.chunk_size),
        is_everybodys=shape.specials and kind is SAMPLE_TYPES[-1],
    )


def _selected(slots: int, *, wanted: int, number: int, seed: str) -> list[tuple[int, bool]]:
    """An even selection of slots, so that a small plan still spans the window, each with whether phone 0 sends it, too.

    The second phone sends about half of what the first sends, and as much of its own.
    """
    first = {turn * slots // wanted for turn in range(wanted)}
    if number == 0:
        return [(slot, False) for slot in sorted(first)]
    drawn = random.Random(f"{seed}/{number}").sample(range(slots), wanted)
    own = {slot if turn % 2 else turn * slots // wanted for turn, slot in enumerate(drawn)}
    return [(slot, slot in first) for slot in sorted(own)]


def _with_specials(chosen: list[Sample], *, owner: Wearer, prefix: str, rng: random.Random) -> list[Sample]:
    """The stream with extras strewn in behind the samples that they are made from."""
    ready: list[Sample] = []
    later: list[Sample] = []
    taken = {_content(sample) for sample in chosen}
    for number, sample in enumerate(chosen):
        ready.append(sample)
        # The plain stream may repeat a sample, which then is a duplicate; specials are made from first copies only.
        if sample.mark is Mark.VALID and number % 40 == 3:
            specials = _specials(sample, owner=owner, prefix=f"{prefix}/{number}", rng=rng, turn=number // 40)
            # Two of the plain stream may differ in one field: then a near twin of one is the other.
            later += [each for each in specials if each.mark is not Mark.VALID or _content(each) not in taken]
        if number % 25 == 24:
            rng.shuffle(later)
            ready += later
            later = []
    if chosen:
        # One burst in a row: a chunk that is mostly bad must still import its good samples.
        later += list(bad_samples(chosen[len(chosen) // 2], prefix=f"{prefix}/burst", rng=rng))
    return ready + later


def _content(sample: Sample) -> tuple[object, ...]:
    return sample.type, sample.start_us, sample.end_us, sample.value, sample.source


def _specials(sample: Sample, *, owner: Wearer, prefix: str, rng: random.Random, turn: int) -> list[Sample]:
    match turn % 3:
        case 0:
            return duplicates(sample, prefix=prefix, rng=rng)
        case 1:
            twins = near_twins(sample, wearer=owner, prefix=prefix, rng=rng)
            return twins if sample.uuid is None else [*twins, conflict(sample, prefix=prefix, rng=rng)]
        case _:
            bad = list(bad_samples(sample, prefix=prefix, rng=rng))
            return rng.sample(bad, 5)


def cut(samples: list[Sample], *, size: int) -> tuple[tuple[Sample, ...], ...]:
    """Chunks of at most `size`, in order."""
    return tuple(tuple(samples[at : at + size]) for at in range(0, len(samples), size))


def next_sync(plan: DevicePlan, *, batch: BatchPlan, anchor: str | None, turn: int, shape: Shape) -> BatchPlan:
    """An incremental sync after `batch`: new samples of its type plus the last few again, from `anchor` on."""
    kind = next(each for each in SAMPLE_TYPES if each.identifier == batch.type)
    key = f"{plan.device}/{kind.name}/b{turn}"
    owner = wearer(user=plan.user, zone=plan.zone)
    start = shape.start + timedelta(days=shape.days + turn)
    per_day = slot_count(kind, days=1)
    fresh = [
        sample
        for slot in sorted({turn * per_day // _SYNC_SLOTS for turn in range(_SYNC_SLOTS)})
        for sample in samples_at(
            kind, slot, wearer=owner, prefix=key, seed=f"{shape.seed}/{_without_run(key, shape)}", start=start
        )
    ]
    last = [each for chunk in batch.chunks for each in chunk if each.mark is Mark.VALID][-3:]
    again = [replace(each, key=f"{key}/again{at}", mark=Mark.DUPLICATE) for at, each in enumerate(last)]
    return BatchPlan(
        key=key,
        type=batch.type,
        starting_anchor=anchor,
        new_anchor=f"{key}/end",
        chunks=cut([*again, *fresh], size=shape.chunk_size),
    )


def late_sync(
    plan: DevicePlan, *, batch: BatchPlan, anchor: str | None, turn: int, is_closed: bool, shape: Shape
) -> BatchPlan:
    """Samples that nobody sent before, for days of `batch`: too late when those are closed (`is_closed`), else valid.

    No two devices send the same one, and none equals a sample of the backfill.
    """
    kind = next(each for each in SAMPLE_TYPES if each.identifier == batch.type)
    key = f"{plan.device}/{kind.name}/b{turn}"
    rng = random.Random(f"{shape.seed}/{_without_run(key, shape)}")
    # Twins and conflicts of the backfill are moved by at most two milliseconds, at one end.
    moved_us = (3 + int(plan.device.rpartition("/d")[2])) * _MS_US
    sent = [each for chunk in batch.chunks for each in chunk if each.mark is Mark.VALID]
    movable = [
        each for each in sent if all(at % _QUARTER_US < _QUARTER_US - US_PER_S for at in (each.start_us, each.end_us))
    ]
    late = [
        replace(
            each,
            key=f"{key}/late{at}",
            uuid=new_uuid(rng),
            start_us=each.start_us + moved_us,
            end_us=each.end_us + moved_us,
            mark=Mark.BAD if is_closed else Mark.VALID,
            reason="day_closed" if is_closed else None,
        )
        for at, each in enumerate(rng.sample(movable, min(_LATE, len(movable))))
    ]
    return BatchPlan(
        key=key,
        type=batch.type,
        starting_anchor=anchor,
        new_anchor=f"{key}/end",
        chunks=cut(late, size=shape.chunk_size),
    )


def _without_run(key: str, shape: Shape) -> str:
    """A key as every run with this seed has it."""
    return key.removeprefix(f"{shape.run}-")
