"""Answers: guessed codes, statuses that do not follow the code, a health page whose status says something else."""

from __future__ import annotations

import pytest

from harness.anomaly import Kind
from harness.checkers import answers
from tests.checkers.world import STARTED, STARTED_MS, World


def refused(world: World, *, code: str, status: int) -> None:
    attempt = {
        "at": STARTED.isoformat(), "ended": STARTED.isoformat(), "took_s": 0.1, "replica": "api-2",
        "outcome": "FAILED", "code": code, "status": status,
    }  # fmt: skip
    world.op(kind="foreign_progress", outcome="FAILED", attempts=[attempt])


@pytest.mark.parametrize("use", ["earlier", "guess", "spent"])
def test_a_code_that_must_not_work(world: World, use: str) -> None:
    world.op(kind="request_code")
    world.op(kind="verify_code", facts={"expected": False, "ok": False, "use": use})
    assert answers.check(world.evidence()) == ()
    world.op(kind="verify_code", facts={"expected": False, "ok": True, "use": use})
    [found] = answers.check(world.evidence())
    assert found.kind is Kind.WRONG_ANSWER
    assert "second time" not in found.summary


def test_a_code_is_held_against_the_latest_request_only(world: World) -> None:
    for at_ms in (0, 1000):
        world.op(kind="request_code", started_ms=STARTED_MS + at_ms)
    world.op(
        kind="verify_code", started_ms=STARTED_MS + 2000, ended_ms=STARTED_MS + 2100,
        facts={"expected": False, "ok": True, "use": "second"},
    )  # fmt: skip
    assert len(answers.check(world.evidence())) == 1


def test_a_refusal_has_the_status_of_its_code(world: World) -> None:
    refused(world, code="NOT_FOUND", status=404)
    assert answers.check(world.evidence()) == ()
    refused(world, code="NOT_FOUND", status=200)
    [found] = answers.check(world.evidence())
    assert "NOT_FOUND came with HTTP 200, not 404" in found.summary


@pytest.mark.parametrize(
    ("status", "problems", "is_right"),
    [(200, [], True), (503, [{"code": "x"}], True), (200, [{"code": "x"}], False), (503, [], False), (None, [], True)],
    ids=["well", "ill", "ill and 200", "well and 503", "no answer"],
)
def test_the_health_page_has_the_status_of_its_problems(
    world: World, status: int | None, problems: list[dict[str, str]], is_right: bool
) -> None:
    reading = {"imports": {"api-1": {"status": 200, "problems": []}, "api-2": {"status": status, "problems": problems}}}
    world.add("readings", at_ms=STARTED_MS, reading=reading)
    found = answers.check(world.evidence())
    assert [each.ids["service"] for each in found] == ([] if is_right else ["api-2"])


def test_what_was_told_is_not_held_against_rows_that_still_move(world: World) -> None:
    world.op(kind="anchors", facts={"anchors": {}})
    assert answers.check(world.evidence())
    assert answers.check(world.evidence(moving=("batch 1 PROCESSING",))) == ()
