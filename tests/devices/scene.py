"""A phone with an open batch against a scripted API: what it sends is kept, what it finds wrong is in its ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.clock import utc_now
from harness.devices.caller import Caller
from harness.devices.client import Answer
from harness.devices.generator import DevicePlan, Shape, plans
from harness.devices.phone import OpenBatch, Phone
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
