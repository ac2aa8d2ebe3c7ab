"""What only a control demands: nothing was harmed, so nothing may have been refused, repeated or tried again."""

from __future__ import annotations

import pytest

from harness.anomaly import Kind
from harness.checkers import accounting, answers
from harness.evidence import Expectations
from tests.checkers.world import STARTED, World

CONTROL = Expectations(is_control=True, has_faults=False)


def attempt(status: int | None, *, outcome: str = "UNKNOWN", code: str | None = None) -> dict[str, object]:
    stamp = STARTED.isoformat()
    return {
        "at": stamp, "ended": stamp, "took_s": 0.1, "replica": "api-2", "outcome": outcome, "status": status,
        "code": code,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("refused", "is_right"),
    [
        (attempt(503, code="UNAVAILABLE"), False),
        (attempt(502), False),
        (attempt(429, outcome="FAILED", code="RATE_LIMITED"), True),
        (attempt(None), True),
    ],
    ids=["unavailable", "bad gateway", "told to slow down", "cut"],
)
def test_a_control_refuses_nobody(world: World, refused: dict[str, object], is_right: bool) -> None:
    world.op(kind="upload_chunk", attempts=[refused, attempt(200, outcome="OK")])
    assert answers.check(world.evidence()) == ()
    found = answers.check(world.evidence(expectations=CONTROL))
    assert [each.kind for each in found] == ([] if is_right else [Kind.WRONG_ANSWER])


@pytest.mark.parametrize(
    "changes",
    [{"interruptions": 1, "executions": 2}, {"infra_attempts": 1, "executions": 2}, {"executions": 2}],
    ids=["interrupted", "infrastructure error", "ran twice"],
)
def test_a_control_runs_every_chunk_once(world: World, changes: dict[str, int]) -> None:
    world.one("chunks", id=1).update(changes)
    assert accounting.check(world.evidence()) == ()
    [found] = accounting.check(world.evidence(expectations=CONTROL))
    assert (found.kind, found.ids["chunk"]) == (Kind.WRONG_ACCOUNTING, "0")
