"""A phone's own calls: where it registers from, under which key it imports, and what it is told of failed chunks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.devices.generator import Shape, plans
from harness.devices.phone import EVERYBODYS_DEVICE, account_key, sha256, start_variables
from harness.devices.types import SAMPLE_TYPES
from tests.devices.scene import Scene

PROGRESS = {
    "batchId": "batch-1", "status": "PROCESSING", "uploadedCount": 3, "doneCount": 1, "importedSamples": 0,
    "duplicateSamples": 0, "rejectedSamples": 0,
}  # fmt: skip


def test_a_phone_that_is_away_says_so_and_the_zone_at_home_counts(scene: Scene) -> None:
    scene.api.answers["registerDevice"] = {"userId": "1", "deviceId": "2", "token": "t"}
    assert scene.phone.register()
    assert scene.phone.register(is_away=True)
    home, away = [sent["timeZone"] for _, sent, _ in scene.api.sent]
    assert (home, away != home) == (scene.phone.plan.zone, True)
    assert {op["facts"]["zone"] for op in scene.ops()} == {home}


def test_a_phone_that_is_called_as_everybodys_is_a_device_of_its_own(scene: Scene) -> None:
    scene.api.answers["registerDevice"] = {"userId": "1", "deviceId": "3", "token": "another"}
    token = scene.phone.caller.token
    scene.phone.register_everybodys()
    [(_, sent, _)] = scene.api.sent
    assert sent["deviceKey"] == EVERYBODYS_DEVICE
    assert scene.phone.caller.token == token
    [op] = scene.ops()
    assert (op["kind"], op["facts"]["device_id"]) == ("register_everybodys", "3")
    assert op["facts"]["token_sha256"] == sha256("another")


def test_accounts_are_told_apart_by_the_case_of_their_keys() -> None:
    keys = [account_key(f"r-u{number}") for number in range(6)]
    assert len(set(keys)) == 6
    assert {len(key) for key in keys} == {43}
    folded = [key.casefold() for key in keys]
    assert folded[0::2] == folded[1::2]
    assert len(set(folded)) == 3


def test_every_phone_calls_one_import_what_all_others_call_one_of_theirs() -> None:
    made = list(plans(Shape(seed=1, phones=3, samples=1_000)))
    sent = [[start_variables(batch)["key"] for batch in plan.batches] for plan in made]
    common = set(sent[0]) & set(sent[1]) & set(sent[2])
    assert len(common) == 1
    assert len({key for keys in sent for key in keys}) == len(made) * (len(SAMPLE_TYPES) - 1) + 1
    assert len({batch.key for plan in made for batch in plan.batches}) == len(made) * len(SAMPLE_TYPES)
    assert [plan.number for plan in made] == [0, 1, 0]


@pytest.mark.parametrize(
    ("failed", "is_right"),
    [([0, 2], True), ([2, 0], False), ([1, 1], False), ([17, 18], False), ([-1, 0], False)],
    ids=["right", "another order", "doubled", "of no chunk", "negative"],
)
def test_failed_chunks_are_indexes(scene: Scene, failed: list[int], is_right: bool) -> None:
    batch = replace(scene.batch, plan=replace(scene.batch.plan, chunks=scene.batch.plan.chunks[:3]))
    scene.api.answers["importProgress"] = PROGRESS | {"chunkCount": 3, "failedCount": 2, "failedChunks": failed}
    scene.phone.poll(batch)
    assert len(scene.wrong()) == (0 if is_right else 1)
