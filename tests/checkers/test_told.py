"""Answers: guessed codes, statuses beside their codes, a health page of two minds, ends and anchors told wrongly."""

from __future__ import annotations

from datetime import timedelta

import pytest

from harness.anomaly import Kind
from harness.checkers import anchors, answers
from harness.evidence.evidence import Expectations
from tests.checkers.world import HEART, STARTED, STARTED_MS, World, fault

BATCH = f"batch-1-{HEART}"
MOVED_MS = STARTED_MS + 5000
RIGHT = {
    "status": "COMPLETED", "doneCount": 2, "failedCount": 0, "importedSamples": 8, "duplicateSamples": 1,
    "rejectedSamples": 3, "failedChunks": [],
}  # fmt: skip


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


@pytest.mark.parametrize(
    ("told", "expected"),
    [((True, False), 0), ((True, True), 1), ((False, False), 1), ((True,), 0)],
    ids=["once", "twice", "never", "one unanswered"],
)
def test_a_code_that_is_used_twice_at_once_works_once(world: World, told: tuple[bool, ...], expected: int) -> None:
    world.op(kind="request_code")
    for ok in told:
        world.op(kind="verify_code", facts={"expected": None, "ok": ok, "use": "at_once"})
    assert [each.kind for each in answers.check(world.evidence())] == [Kind.WRONG_ANSWER] * expected


def test_no_code_may_work_while_the_cache_is_away(world: World) -> None:
    for _ in range(2):
        world.op(kind="verify_code", facts={"expected": None, "ok": False, "use": "at_once"})
    away = fault(name="kill_redis", target="redis", injected_at=STARTED, bitten_at=STARTED)
    assert answers.check(world.evidence(faults=(away,))) == ()


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


@pytest.mark.parametrize(
    ("told", "expected"),
    [({}, 0), ({"status": "PROCESSING"}, 1), ({"status": "PENDING", "doneCount": 0}, 1)],
    ids=["ended", "never told that it ended", "never told that it began"],
)
def test_the_last_answer_says_that_an_import_ended(world: World, told: dict[str, object], expected: int) -> None:
    world.op(batch=BATCH, facts={"progress": RIGHT | told, "final": True})
    world.op(batch=BATCH, facts={}, ended_ms=STARTED_MS + 200)
    assert len(answers.check(world.evidence())) == expected


def test_an_answer_while_an_import_went_on_is_no_last_one(world: World) -> None:
    world.op(batch=BATCH, facts={"progress": RIGHT | {"status": "PROCESSING"}, "final": False})
    assert answers.check(world.evidence()) == ()


@pytest.mark.parametrize(
    ("told", "ended_ms", "is_right"),
    [
        (f"u1/d0/{HEART}/b0/end", MOVED_MS, True),
        (f"u1/d0/{HEART}/b0/end", MOVED_MS - 1, False),
        (f"u2/d0/{HEART}/b0/end", MOVED_MS, False),
        ("never current", MOVED_MS, False),
        (None, MOVED_MS, True),
    ],
    ids=["moved", "before it moved", "of another device", "never current", "none yet"],
)
def test_an_anchor_that_is_told_is_current(world: World, told: str | None, ended_ms: int, is_right: bool) -> None:
    world.op(kind="anchor", type=HEART, facts={"anchor": told}, ended_ms=ended_ms)
    found = anchors.check(world.evidence())
    assert [each.kind for each in found] == ([] if is_right else [Kind.WRONG_ANCHOR])


@pytest.mark.parametrize(("told", "is_right"), [(f"u1/d0/{HEART}/b0/end", True), ("u1/d0/older", False), (None, False)])
def test_the_anchor_told_at_the_end_is_that_of_the_rows(world: World, told: str | None, is_right: bool) -> None:
    world.op(kind="anchor", type=HEART, facts={"anchor": told, "final": True}, ended_ms=MOVED_MS)
    found = answers.check(world.evidence())
    assert [each.kind for each in found] == ([] if is_right else [Kind.WRONG_ANSWER])
    assert answers.check(world.evidence(moving=("batch 1 PROCESSING",))) == ()


def ready(
    world: World, *, status: int, asked_s: float, dead: tuple[float, ...] = (), alive: tuple[float, ...] = ()
) -> None:
    """One answer of /health/, and the watch's own looks at Postgres, all in seconds after the start."""

    def at(second: float) -> str:
        return (STARTED + timedelta(seconds=second)).isoformat()

    answer = {"status": status, "asked": at(asked_s), "answered": at(asked_s + 0.1)}
    world.add("readings", at_ms=STARTED_MS, reading={"ready": {"api-1": answer}})
    for second in (*dead, *alive):
        error = {"postgres_error": "OperationalError"} if second in dead else {}
        world.add("readings", at_ms=STARTED_MS, reading={"postgres_at": at(second), **error})


@pytest.mark.parametrize(
    ("dead", "alive", "status", "is_right"),
    [
        ((11.0, 12.0, 13.0), (10.0,), 200, False),
        ((11.0, 12.0, 13.0), (10.0,), 503, True),
        ((11.0, 12.0), (13.0,), 200, True),
        ((12.0, 13.0), (11.0,), 200, True),
        ((11.0,), (), 200, True),
        ((), (11.0, 12.0, 13.0), 200, True),
    ],
    ids=["ready", "not ready", "alive soon after", "alive just before", "not looked at", "alive"],
)
def test_no_replica_is_ready_while_postgres_is_dead(
    world: World, dead: tuple[float, ...], alive: tuple[float, ...], status: int, is_right: bool
) -> None:
    ready(world, status=status, asked_s=11.5, dead=dead, alive=alive)
    killed = world.evidence(faults=(fault(name="kill_postgres", target="postgres"),))
    assert [each.ids["service"] for each in answers.check(killed)] == ([] if is_right else ["api-1"])
    assert answers.check(world.evidence(faults=(fault(name="terminate_sessions", target="worker→postgres"),))) == ()


@pytest.mark.parametrize(
    ("targets", "is_control", "is_right"),
    [
        ((), True, False),
        (("redis",), False, False),
        (("worker→redis", "redis"), False, False),
        (("redis", "postgres"), False, True),
        (("api-1",), False, True),
        ((), False, True),
    ],
    ids=["control", "redis", "redis and its link", "postgres, too", "api", "nothing to go by"],
)
def test_every_replica_stays_ready_without_redis(
    world: World, targets: tuple[str, ...], is_control: bool, is_right: bool
) -> None:
    ready(world, status=503, asked_s=11.5)
    faults = tuple(fault(name="freeze", target=each) for each in targets)
    evidence = world.evidence(faults=faults, expectations=Expectations(is_control=is_control))
    assert [each.kind for each in answers.check(evidence)] == ([] if is_right else [Kind.WRONG_ANSWER])
