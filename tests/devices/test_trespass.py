"""What phones try and must not get away with: each try is made, and one that succeeds is noted as wrong."""

from __future__ import annotations

import pytest

from harness.clock import utc_now
from harness.devices import probes, resuming, trespass
from harness.devices.phone import start_variables
from tests.devices.scene import Scene


@pytest.mark.parametrize(
    ("told", "problem"),
    [([0, 1], None), ([0, 1, 2], None), ([0, 1, 2, 3], "never sent"), ([0], "not named")],
    ids=["as acknowledged", "one more that was tried", "one that nobody sent", "one that is missing"],
)
def test_resume(scene: Scene, told: list[int], problem: str | None) -> None:
    scene.api.answers["startImport"] = {"batchId": "batch-1", "status": "PENDING", "uploadedIndexes": told}
    resuming.resume(scene.phone, scene.batch, attempted=frozenset({0, 1, 2}))
    wrong = scene.wrong()
    assert len(wrong) == (0 if problem is None else 1)
    assert all(problem in each for each in wrong if problem)


def test_resume_with_another_batch(scene: Scene) -> None:
    scene.api.answers["startImport"] = {"batchId": "batch-2", "status": "PENDING", "uploadedIndexes": [0, 1]}
    resuming.resume(scene.phone, scene.batch, attempted=frozenset({0, 1}))
    assert len(scene.wrong()) == 1


@pytest.mark.parametrize(
    ("answer", "is_refused"), [("UNAUTHENTICATED", True), ({"batchId": "batch-1"}, False)], ids=["refused", "answered"]
)
def test_forged_tokens(scene: Scene, answer: object, is_refused: bool) -> None:
    scene.api.answers["importProgress"] = answer
    trespass.ask_with_forged_token(scene.phone, batch=scene.batch)
    tokens = [token for _, _, token in scene.api.sent]
    assert len(set(tokens)) == 2
    assert "Abcdef" not in tokens
    assert scene.phone.caller.token == "Abcdef"
    assert bool(scene.wrong()) is not is_refused


@pytest.mark.parametrize(
    ("answer", "is_refused"), [("UNAUTHENTICATED", True), ({"redrivenCount": 0}, False)], ids=["refused", "answered"]
)
def test_an_operators_work(scene: Scene, answer: object, is_refused: bool) -> None:
    scene.api.answers["redrive"] = answer
    trespass.redrive_as_nobody(scene.phone.caller, batch=scene.batch)
    assert len(scene.api.sent) == 2
    assert len(scene.wrong()) == (0 if is_refused else 2)


@pytest.mark.parametrize(
    ("answer", "is_refused"),
    [("CONFLICT", True), ({"batchId": "batch-1", "status": "PENDING", "uploadedIndexes": []}, False)],
    ids=["refused", "answered"],
)
def test_another_import_under_a_used_key(scene: Scene, answer: object, is_refused: bool) -> None:
    scene.api.answers["startImport"] = answer
    trespass.start_another(scene.phone.caller, batch=scene.batch)
    own = start_variables(scene.batch.plan)
    changed = [{name for name in own if own[name] != sent[name]} for _, sent, _ in scene.api.sent]
    assert changed == [{"count"}, {"count"}, {"to"}, {"from"}, {"type"}]
    assert len(scene.wrong()) == (0 if is_refused else 5)


@pytest.mark.parametrize("last", ["CONFLICT", {"reminderId": "5"}], ids=["refused", "answered"])
def test_another_reminder_under_a_used_key(scene: Scene, last: object) -> None:
    scene.api.answers["createReminder"] = [{"reminderId": "5"}, {"reminderId": "5"}, last]
    probes.order_reminder(scene.phone.caller, number=0, due=utc_now())
    first, second, *others = [variables for _, variables, _ in scene.api.sent]
    assert (first["text"], first["due"].endswith("-03:30"), second["due"].endswith("+00:00")) == (
        second["text"],
        True,
        True,
    )
    changed = [{name for name in first if first[name] != other[name]} for other in others]
    assert changed == [{"text"}, {"due"}]
    assert len(scene.wrong()) == (0 if last == "CONFLICT" else 2)
