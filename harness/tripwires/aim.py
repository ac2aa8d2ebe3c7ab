"""Aiming a tripwire: which sample of which chunk to hold, and who it belongs to once its phone has registered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.clock import wait_for
from harness.devices.generator import BatchPlan, DevicePlan
from harness.devices.sample import Mark, Sample
from harness.errors import Inconclusive, WaitTimeout
from harness.lab_session import lab_session
from harness.tripwires.tripwire import Point

REGISTER_TIMEOUT_S = 30.0
LONG = 2
"""Chunks of a batch that is worth aiming at: one before the held one must be able to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A sample by the lab's own names: `device` is the phone's key."""

    user: str
    device: str
    batch_key: str
    chunk_index: int
    chunk_count: int
    sample: Sample


def targets(plans: Iterable[DevicePlan], *, rng: random.Random, is_whole: bool = False) -> tuple[Aim, ...]:
    """One aim a phone, in an order drawn from the seed: the sample nearest the middle of its first long batch's middle.

    The first, so that the others are still sending and importing while this one is held. `is_whole`: of its first batch
    that is a single chunk.
    Only samples that are valid, carry a UUID, and whose UUID and content occur once among all of their user's samples:
    a sample that another chunk also holds would park whoever comes first.
    """
    by_user: dict[str, list[DevicePlan]] = {}
    for plan in plans:
        by_user.setdefault(plan.user, []).append(plan)
    found = [aim for mine in by_user.values() for aim in _of_one_user(mine, is_whole=is_whole)]
    rng.shuffle(found)
    return tuple(found)


def aims_in(plans: Iterable[DevicePlan], batch: BatchPlan) -> tuple[Aim, ...]:
    """One aim in each chunk of this batch that holds such a sample, in order."""
    owner = next(plan for plan in plans if batch in plan.batches)
    is_fit = _fitness([plan for plan in plans if plan.user == owner.user])
    found = (_in_chunk(owner, batch, index, is_fit=is_fit) for index in range(len(batch.chunks)))
    return tuple(aim for aim in found if aim is not None)


def located(dsn: str, aim: Aim) -> tuple[int, str]:
    """User id and batch id behind an aim, as soon as the phone has registered and begun that batch.

    Raises: Inconclusive when it does not in time.
    """

    def look() -> tuple[int, str] | None:
        with lab_session(dsn) as session:
            found = session.execute(
                "select b.user_id, b.id::text from healthkit_import_batch b "
                "join accounts_device d on d.id = b.device_id where d.device_key = %s and b.idempotency_key = %s",
                (aim.device, aim.batch_key),
            ).fetchone()
        return (int(found[0]), str(found[1])) if found else None

    try:
        return wait_for(look, awaiting=f"batch {aim.batch_key} to be begun", timeout_s=REGISTER_TIMEOUT_S)
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error


def point_of(dsn: str, aim: Aim) -> Point:
    """The aim in Postgres's own ids. Raises: Inconclusive when its batch is not begun in time."""
    user_id, batch_id = located(dsn, aim)
    if aim.sample.uuid is None:
        raise Inconclusive(f"sample {aim.sample.key} carries no UUID to hold")
    return Point(
        user_id=user_id,
        hk_uuid=aim.sample.uuid,
        batch_id=batch_id,
        batch_key=aim.batch_key,
        chunk_index=aim.chunk_index,
        sample=aim.sample.key,
    )


def _of_one_user(plans: Sequence[DevicePlan], *, is_whole: bool) -> Iterable[Aim]:
    is_fit = _fitness(plans)
    for plan in plans:
        batch = next((each for each in plan.batches if (len(each.chunks) < LONG) is is_whole), None)
        aim = None if batch is None else _in_chunk(plan, batch, len(batch.chunks) // 2, is_fit=is_fit)
        if aim is not None:
            yield aim


def _fitness(plans: Sequence[DevicePlan]) -> Callable[[Sample], bool]:
    """What tells the fit samples of one user, all of whose plans these are."""
    samples = [each for plan in plans for batch in plan.batches for chunk in batch.chunks for each in chunk]
    uuids = Counter(each.uuid for each in samples)
    contents = Counter(_content(each) for each in samples)

    def is_fit(sample: Sample) -> bool:
        is_alone = uuids[sample.uuid] == 1 and contents[_content(sample)] == 1
        return sample.mark is Mark.VALID and sample.uuid is not None and is_alone

    return is_fit


def _in_chunk(plan: DevicePlan, batch: BatchPlan, index: int, *, is_fit: Callable[[Sample], bool]) -> Aim | None:
    """The fit sample nearest the chunk's middle."""
    chunk = batch.chunks[index]
    fit = [(abs(at - len(chunk) // 2), at) for at, each in enumerate(chunk) if is_fit(each)]
    if not fit:
        return None
    return Aim(
        user=plan.user,
        device=plan.device,
        batch_key=batch.key,
        chunk_index=index,
        chunk_count=len(batch.chunks),
        sample=chunk[min(fit)[1]],
    )


def _content(sample: Sample) -> tuple[object, ...]:
    return (sample.type, sample.start_us, sample.end_us, sample.value, sample.unit, sample.source.key)
