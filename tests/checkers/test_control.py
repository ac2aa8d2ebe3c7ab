"""What only a control demands: nothing was harmed, so nothing may have been refused, repeated or tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from harness.anomaly import Kind
from harness.checkers import accounting, answers, dispatches, loudness, traces
from harness.evidence.evidence import Expectations
from tests.checkers.world import HEART, STARTED, STARTED_MS, World

CONTROL = Expectations(is_control=True, has_faults=False, overdue_s=5.0)
PLAIN_LOAD = Expectations(is_plain_load=True, has_faults=False)
BATCH = f"batch-1-{HEART}"


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
@pytest.mark.parametrize("expectations", [CONTROL, PLAIN_LOAD], ids=["control", "load"])
def test_who_is_not_harmed_refuses_nobody(
    world: World, expectations: Expectations, refused: dict[str, object], is_right: bool
) -> None:
    world.op(kind="upload_chunk", attempts=[refused, attempt(200, outcome="OK")])
    assert answers.check(world.evidence()) == ()
    found = answers.check(world.evidence(expectations=expectations))
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


def with_lines(world: World) -> World:
    """Every step of every import has its line; every message was sent once, and not by the sweeper."""
    for batch in world.rows["batches"]:
        line(world, event="batch_finished", batch=batch["id"])
        sent(world, task="healthkit.import_batch", batch=batch["id"])
    for chunk in world.rows["chunks"]:
        for event in ("chunk_started", "chunk_finished"):
            line(world, event=event, batch=chunk["batch"], idx=chunk["idx"])
        sent(world, task="healthkit.import_chunk", batch=chunk["batch"], idx=chunk["idx"])
    return world


def line(world: World, *, build: str | None = "b1", level: str | None = "INFO", **ids: object) -> None:
    world.add("log_lines", at_ms=STARTED_MS, replica="worker-1", service="worker", level=level,
              line={} if build is None else {"build": build}, **ids)  # fmt: skip


def sent(world: World, **ids: object) -> None:
    world.add("publishes", at_ms=STARTED_MS, queue="default", message_id="m", is_redelivered=False, **ids)


def test_a_control_whose_every_step_left_a_line(world: World) -> None:
    assert traces.check(with_lines(world).evidence(expectations=CONTROL)) == ()


@pytest.mark.parametrize("event", ["batch_finished", "chunk_started", "chunk_finished"])
@pytest.mark.parametrize(
    "change", [{"batch": None}, {"event": "log"}, {"batch": "another"}], ids=["bare", "no", "other"]
)
def test_a_step_without_its_line(world: World, event: str, change: dict[str, str | None]) -> None:
    with_lines(world).one("log_lines", event=event).update(change)
    assert traces.check(world.evidence()) == ()
    [found] = traces.check(world.evidence(expectations=CONTROL))
    assert (found.kind, found.ids["batch"], event in found.summary) == (Kind.SILENT, BATCH, True)


@pytest.mark.parametrize(
    ("changes", "is_control", "expected"),
    [
        ({"level": None}, False, 1),
        ({"build": None}, False, 1),
        ({"build": ""}, False, 1),
        ({"build": "b2"}, False, 0),
        ({"build": "b2"}, True, 1),
        ({"build": "b1"}, True, 0),
    ],
    ids=["no level", "no build", "blank build", "two builds in a deploy", "two builds", "right"],
)
def test_a_line_says_what_wrote_it(
    world: World, changes: dict[str, str | None], is_control: bool, expected: int
) -> None:
    line(with_lines(world), event="log", **changes)
    parts = {"expectations": CONTROL} if is_control else {}
    assert [each.kind for each in traces.check(world.evidence(**parts))] == [Kind.SILENT] * expected


def test_a_control_that_was_dispatched_as_it_should(world: World) -> None:
    assert dispatches.check(with_lines(world).evidence(expectations=CONTROL)) == ()
    assert dispatches.check(World().evidence(expectations=CONTROL)) == ()


@pytest.mark.parametrize("excuse", [None, BATCH], ids=["silently", "a publish failed"])
def test_a_batch_that_nobody_sent(world: World, excuse: str | None) -> None:
    with_lines(world).drop("publishes", task="healthkit.import_batch", batch=BATCH)
    if excuse is not None:
        line(world, event="publish_failed", batch=excuse)
    assert dispatches.check(world.evidence()) == ()
    found = dispatches.check(world.evidence(expectations=CONTROL))
    assert [(each.kind, each.ids["batch"]) for each in found] == ([] if excuse else [(Kind.WRONG_ACCOUNTING, BATCH)])


@pytest.mark.parametrize("task", ["reminders.send_due", "reminders.send_one", "healthkit.sweep"])
def test_what_must_not_wait_behind_imports(world: World, task: str) -> None:
    sent(with_lines(world), task=task)
    found = dispatches.check(world.evidence(expectations=CONTROL))
    assert [(each.kind, each.ids["task"]) for each in found] == [(Kind.WRONG_ACCOUNTING, task)]
    world.rows["publishes"][-1]["queue"] = "high"
    assert dispatches.check(world.evidence(expectations=CONTROL)) == ()


@pytest.mark.parametrize(
    ("chunks", "extra", "swept", "expected"),
    [(3, 0, 1, 0), (4, 0, 1, 4), (8, 1, 1, 0), (3, 2, 0, 0), (4, 2, 0, 4), (8, 1, 0, 0)],
    ids=["few swept", "many swept", "sent and swept", "few again", "many again", "once again"],
)
def test_chunks_that_the_sweeper_had_to_send(world: World, chunks: int, extra: int, swept: int, expected: int) -> None:
    for chunk in with_lines(world).rows["chunks"][:chunks]:
        ids = {"batch": chunk["batch"], "idx": chunk["idx"]}
        for _ in range(extra):
            sent(world, task="healthkit.import_chunk", **ids)
        for _ in range(swept):
            line(world, event="sweep_redispatched", **ids)
    found = dispatches.check(world.evidence(expectations=CONTROL))
    assert [each.kind for each in found] == [Kind.WRONG_ACCOUNTING] * expected


@pytest.mark.parametrize(
    ("asked_s", "batch", "expected"),
    [
        ((8.0, 8.5), BATCH, [Kind.FALSE_ALARM]),
        ((8.0, 8.0), BATCH, []),
        ((9.5, 9.8), BATCH, []),
        ((4.5, 4.8), BATCH, []),
        ((8.0, 8.5), "another", []),
    ],
    ids=["moved", "one reading twice", "long ago", "hardly committed", "another batch"],
)
def test_a_batch_that_moved_is_not_overdue(
    world: World, asked_s: tuple[float, float], batch: str, expected: list[Kind]
) -> None:
    """Its chunks came long ago and end four seconds into the run; work waits, as on a slow machine."""
    for chunk in world.rows["chunks"]:
        chunk["created_ms"] = STARTED_MS - 60_000
    for at_s in asked_s:
        at = (STARTED + timedelta(seconds=at_s)).isoformat()
        problem = {"code": "import_overdue", "batch": batch, "detail": "not moved"}
        reading = {"imports": {"api-1": {"status": 503, "problems": [problem], "asked": at, "answered": at}}}
        world.add("readings", at_ms=STARTED_MS, reading=reading | {"chunks": {"PENDING": 3}, "imports_at": at})
    found = loudness.check(world.evidence(expectations=CONTROL))
    assert [each.kind for each in found] == expected
