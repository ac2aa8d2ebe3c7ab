"""What phones try and must not get away with: each try is made, and one that succeeds is noted as wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.clock import utc_now
from harness.devices import probes, resuming, trespass
from harness.devices.caller import Caller
from harness.devices.client import Answer
from harness.devices.generator import DevicePlan, Shape, plans
from harness.devices.phone import OpenBatch, Phone, start_variables
from harness.ledger import OPS_FILE, Attempt, Ledger, Outcome


@dataclass
class Api:
    """Answers by the name of the field that is asked for; a text is a refusal's code, a list is used up in turn."""

    answers: dict[str, Any]
    sent: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)

    def send(
        self,
        query: str,
        variables: Mapping[str, Any],
        *,
        token: str | None = None,
        pin: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        name = next(name for name in self.answers if name in query)
        self.sent.append((name, dict(variables), token))
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        code = answer if isinstance(answer, str) else None
        attempt = Attempt(
            at=utc_now().isoformat(),
            ended=utc_now().isoformat(),
            took_s=0.0,
            replica=pin or "api-1",
            outcome=Outcome.FAILED if code else Outcome.OK,
            status=409 if code else 200,
            code=code,
            error=None,
        )
        return Answer(attempt=attempt, data=None if code else {name: answer})


@dataclass
class Scene:
    """A phone with an open batch of three chunks, of which two are acknowledged, against a scripted API."""

    api: Api
    phone: Phone
    batch: OpenBatch
    ledger: Ledger

    def wrong(self) -> list[str]:
        return [problem for op in self.ops() for problem in op["wrong"]]

    def ops(self) -> list[dict[str, Any]]:
        self.ledger.close()
        return [json.loads(line) for line in (self.ledger.directory / OPS_FILE).read_text().splitlines()]


@pytest.fixture(scope="module")
def plan() -> DevicePlan:
    return next(iter(plans(Shape(seed=1, phones=1, samples=3_000))))


@pytest.fixture
def scene(plan: DevicePlan, tmp_path: Path) -> Iterator[Scene]:
    ledger = Ledger(tmp_path)
    api = Api({})
    caller = Caller(
        user=plan.user, device=plan.device, client=api, ledger=ledger, stop=threading.Event(), retry_for_s=0.0
    )
    caller.token = "Abcdef"
    batch = next(each for each in plan.batches if len(each.chunks) >= 3)
    yield Scene(api, Phone(plan, caller=caller, ledger=ledger), OpenBatch(batch, "batch-1", {0, 1}), ledger)
    ledger.close()


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


def test_codes_are_guessed_until_the_tries_are_used_up(scene: Scene) -> None:
    made = [{"code": "000007", "expiresInS": 60}, {"code": "999999", "expiresInS": 60}]
    scene.api.answers |= {"requestVerificationCode": made, "verifyCode": {"ok": False}}
    trespass.guess_codes(scene.phone.caller, replicas=("api-1", "api-2"))
    tried = [variables["code"] for name, variables, _ in scene.api.sent if name == "verifyCode"]
    assert tried == ["000007", *(f"{number:06d}" for number in range(trespass.CODE_ATTEMPTS)), "999999"]
    facts = [op["facts"] for op in scene.ops() if op["kind"] == "verify_code"]
    assert [each["use"] for each in facts] == ["earlier", *["guess"] * trespass.CODE_ATTEMPTS, "spent"]
    assert {(each["expected"], each["ok"]) for each in facts} == {(False, False)}


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
    assert changed == [{"count"}, {"to"}, {"from"}]
    assert len(scene.wrong()) == (0 if is_refused else 3)


@pytest.mark.parametrize("last", ["CONFLICT", {"reminderId": "5"}], ids=["refused", "answered"])
def test_another_reminder_under_a_used_key(scene: Scene, last: object) -> None:
    scene.api.answers["createReminder"] = [{"reminderId": "5"}, {"reminderId": "5"}, last]
    probes.order_reminder(scene.phone.caller, number=0, due_in_s=3.0)
    first, second, other = [variables for _, variables, _ in scene.api.sent]
    assert (first["text"], first["due"].endswith("-03:30"), second["due"].endswith("+00:00")) == (
        second["text"],
        True,
        True,
    )
    assert (other["key"], other["text"] != first["text"]) == (first["key"], True)
    assert len(scene.wrong()) == (0 if last == "CONFLICT" else 1)
