"""Aims: samples of long batches, or of batches that are a single chunk; never ones that another chunk holds as well."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from harness.devices.generator import DevicePlan, Shape, plans
from harness.tripwires.aim import aims_in, targets


@pytest.fixture(scope="module")
def fleet() -> tuple[DevicePlan, ...]:
    return tuple(plans(Shape(seed=1, phones=4, samples=2_400)))


@pytest.mark.parametrize("is_whole", [False, True], ids=["long", "single chunk"])
def test_one_sample_a_phone_that_occurs_once(fleet: tuple[DevicePlan, ...], is_whole: bool) -> None:
    uuids = Counter(
        (plan.user, each.uuid) for plan in fleet for batch in plan.batches for chunk in batch.chunks for each in chunk
    )
    aims = targets(fleet, rng=random.Random(1), is_whole=is_whole)
    assert sorted(aim.device for aim in aims) == sorted(plan.device for plan in fleet)
    for aim in aims:
        assert (aim.chunk_count == 1) is is_whole
        assert aim.chunk_index == aim.chunk_count // 2
        assert uuids[aim.user, aim.sample.uuid] == 1


def test_one_sample_a_chunk_of_a_batch(fleet: tuple[DevicePlan, ...]) -> None:
    batch = max((batch for plan in fleet for batch in plan.batches), key=lambda batch: len(batch.chunks))
    aims = aims_in(fleet, batch)
    assert len(aims) > 1
    assert [aim.chunk_index for aim in aims] == sorted({aim.chunk_index for aim in aims})
    assert all(aim.sample in batch.chunks[aim.chunk_index] and aim.batch_key == batch.key for aim in aims)
