"""Accounting, anchors, aggregates, answers: clean and each anomaly alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.anomaly import Kind
from harness.checkers import accounting, aggregates, anchors, answers
from harness.evidence.evidence import Evidence, Expectations
from harness.evidence.observe import name_batches
from tests.checkers.world import HEART, STARTED_MS, STEPS, World, fault

KEY = f"u1/d0/{HEART}/b0"
BATCH = f"batch-1-{HEART}"
CHECKERS = {
    Kind.WRONG_ACCOUNTING: accounting.check,
    Kind.WRONG_ANCHOR: anchors.check,
    Kind.WRONG_AGGREGATE: aggregates.check,
    Kind.WRONG_ANSWER: answers.check,
}


def summaries(evidence: Evidence) -> list[tuple[Kind, str]]:
    return [(each.kind, each.summary) for check in CHECKERS.values() for each in check(evidence)]


def done_count(world: World) -> None:
    world.one("batches", id=BATCH)["done_count"] = 1


def never_finalised(world: World) -> None:
    world.one("batches", id=BATCH)["status"] = "PROCESSING"


def imported_count(world: World) -> None:
    world.one("chunks", id=1).update(imported_count=3, duplicate_count=2)


def rejected_count(world: World) -> None:
    world.one("chunks", id=1).update(rejected_count=2, duplicate_count=0)


def not_all_counted(world: World) -> None:
    world.one("chunks", id=1)["duplicate_count"] = 0


def claim_left(world: World) -> None:
    world.one("chunks", id=1)["is_claimed"] = True


def finalised_twice(world: World) -> None:
    for at in (1, 2):
        world.add("log_lines", at_ms=STARTED_MS + at, replica="worker-1", event="batch_finished", batch=BATCH)


def ran_twice(world: World) -> None:
    world.kept["expectations"] = Expectations(executions={(KEY, 0): 1}, has_faults=False)
    world.one("chunks", id=1)["executions"] = 2


def too_many_attempts(world: World) -> None:
    world.one("chunks", id=1)["data_attempts"] = 5


def blamed_for_a_store(world: World) -> None:
    world.one("chunks", id=1)["data_attempts"] = 1


def at_submission(world: World) -> None:
    world.one("batches", id=BATCH)["status"] = "ABANDONED"


def stuck(world: World) -> None:
    world.drop("anchors", device_id=1, type=HEART)
    world.drop("anchor_moves", device_id=1, type=HEART)


def backwards(world: World) -> None:
    world.one("anchors", device_id=1, type=HEART)["value"] = "older"


def moved_twice(world: World) -> None:
    move = world.one("anchor_moves", device_id=1, type=HEART)
    world.add("anchor_moves", **(move | {"id": 99, "from_value": move["to_value"], "to_value": move["to_value"]}))


def seen_ahead(world: World) -> None:
    ahead = [{"device_id": "1", "type": HEART, "batch": BATCH, "why": "PROCESSING, 1 PENDING"}]
    world.add("readings", at_ms=STARTED_MS, reading={"anchors_ahead": ahead})


def passed_a_loss(world: World) -> None:
    world.rows["records"] = [each for each in world.rows["records"] if each["id"] != 2]
    world.one("chunks", id=1)["imported_count"] = 3
    world.one("chunks", id=1)["duplicate_count"] = 2


def wrong_answer(world: World) -> None:
    world.op(wrong=["sent 6 samples, told 5"])


def two_ids(world: World) -> None:
    world.op(kind="register", facts={"user_id": "7", "device_id": "1"})


def one_id_for_two(world: World) -> None:
    world.op(kind="register", user="U1", device="U1/d0", facts={"user_id": "1", "device_id": "9"})


def one_id_for_everybodys_phones(world: World) -> None:
    for user, user_id in (("u1", "1"), ("u2", "2")):
        world.op(
            kind="register_everybodys", user=user, device=f"{user}/d0", facts={"user_id": user_id, "device_id": "9"}
        )


def code_refused(world: World) -> None:
    world.op(kind="request_code")
    world.op(kind="verify_code", facts={"expected": True, "ok": False, "made_on": "api-1"})


def code_twice(world: World) -> None:
    world.op(kind="request_code")
    world.op(kind="verify_code", facts={"expected": False, "ok": True, "made_on": "api-1"})


def progress_differs(world: World) -> None:
    told = {"status": "COMPLETED", "doneCount": 2, "failedCount": 0, "importedSamples": 8, "duplicateSamples": 1,
            "rejectedSamples": 2, "failedChunks": []}  # fmt: skip
    world.op(batch=BATCH, facts={"progress": told})


def batch_vanished(world: World) -> None:
    world.op(kind="start_import", batch_key="u1/d0/x", facts={"batch": "nowhere", "chunk_count": 0})


def anchor_told_otherwise(world: World) -> None:
    world.op(kind="anchors", facts={"anchors": {HEART: "else", STEPS: f"u1/d0/{STEPS}/b0/end"}})


CASES: list[tuple[Callable[[World], object], list[tuple[Kind, str]]]] = [
    (
        done_count,
        [(Kind.WRONG_ACCOUNTING, f"batch {BATCH} counts 2 uploaded, 1 done, 0 failed; its chunks say 2, 2, 0")],
    ),
    (
        never_finalised,
        [
            (
                Kind.WRONG_ACCOUNTING,
                f"batch {BATCH} is PROCESSING; with 2 DONE and 0 FAILED of 2 chunks it must be COMPLETED",
            ),
            (Kind.WRONG_ANCHOR, f"anchor of u1/d0, {HEART}: moved by batch {BATCH}, which is PROCESSING"),
        ],
    ),
    (
        imported_count,
        [(Kind.WRONG_ACCOUNTING, f"chunk 0 of batch {BATCH} counts 3 imported, but 4 records are of it")],
    ),
    (
        rejected_count,
        [(Kind.WRONG_ACCOUNTING, f"chunk 0 of batch {BATCH} counts 2 rejected, but 1 rejected rows are of it")],
    ),
    (
        not_all_counted,
        [(Kind.WRONG_ACCOUNTING, f"chunk 0 of batch {BATCH} counts 4 imported + 0 duplicate + 1 rejected of 6")],
    ),
    (claim_left, [(Kind.WRONG_ACCOUNTING, f"chunk 0 of batch {BATCH} is DONE with a claim")]),
    (finalised_twice, [(Kind.WRONG_ACCOUNTING, f"batch {BATCH} was finalised 2 times by the log")]),
    (ran_twice, [(Kind.WRONG_ACCOUNTING, f"chunk 0 of batch {BATCH} ran 2 times; 1 expected")]),
    (
        too_many_attempts,
        [(Kind.WRONG_ACCOUNTING, f"chunk 0 of batch {BATCH} ran 5 times with data errors; 4 is the limit")],
    ),
    (
        blamed_for_a_store,
        [
            (
                Kind.WRONG_ACCOUNTING,
                f"chunk 0 of batch {BATCH} counts 1 data errors, though nothing was wrong with its data",
            ),
        ],
    ),
    (
        at_submission,
        [
            (
                Kind.WRONG_ACCOUNTING,
                f"batch {BATCH} is ABANDONED; with 2 DONE and 0 FAILED of 2 chunks it must be COMPLETED",
            ),
            (Kind.WRONG_ANCHOR, f"anchor of u1/d0, {HEART}: moved by batch {BATCH}, which is ABANDONED"),
        ],
    ),
    (
        stuck,
        [(Kind.WRONG_ANCHOR, f"anchor of u1/d0, {HEART} is stuck: batch {BATCH} ended and starts where it stands")],
    ),
    (
        backwards,
        [(Kind.WRONG_ANCHOR, f"anchor of u1/d0, {HEART}: stands at older, its history ends at {KEY}/end")],
    ),
    (
        moved_twice,
        [
            (
                Kind.WRONG_ANCHOR,
                f"anchor of u1/d0, {HEART}: moved {KEY}/end → {KEY}/end; batch {BATCH} spans None → {KEY}/end",
            ),
            (Kind.WRONG_ANCHOR, f"anchor of u1/d0, {HEART}: moved twice by batch {BATCH}"),
        ],
    ),
    (
        seen_ahead,
        [
            (
                Kind.WRONG_ANCHOR,
                f"anchor of device 1, {HEART} was seen ahead of committed data (PROCESSING, 1 PENDING), 1 readings",
            )
        ],
    ),
    (
        passed_a_loss,
        [(Kind.WRONG_ANCHOR, f"anchor of u1/d0, {HEART} passed batch {BATCH}: 0 PENDING chunks, 1 lost samples")],
    ),
    (wrong_answer, [(Kind.WRONG_ANSWER, "progress of u1/d0: sent 6 samples, told 5")]),
    (two_ids, [(Kind.WRONG_ANSWER, "user u1 was told several ids: 1, 7")]),
    (
        one_id_for_everybodys_phones,
        [
            (
                Kind.WRONG_ANSWER,
                "devices u1/everybody's phone, u2/everybody's phone were told one id, 9: whose data is whose",
            )
        ],
    ),
    (one_id_for_two, [(Kind.WRONG_ANSWER, "users U1, u1 were told one id, 1: whose data is whose")]),
    (
        code_refused,
        [(Kind.WRONG_ANSWER, "verification code of u1/d0, made on api-1, was refused (expected ok=true)")],
    ),
    (
        code_twice,
        [(Kind.WRONG_ANSWER, "verification code of u1/d0, made on api-1, worked a second time (expected ok=false)")],
    ),
    (progress_differs, [(Kind.WRONG_ANSWER, f"progress of batch {BATCH}: rejected 2 (rows: 3)")]),
    (batch_vanished, [(Kind.WRONG_ANSWER, "batch nowhere of u1/d0/x was acknowledged and is not there")]),
    (anchor_told_otherwise, [(Kind.WRONG_ANSWER, f"anchor of u1/d0, {HEART}: told else, the row says {KEY}/end")]),
]


def test_clean(world: World) -> None:
    assert summaries(world.evidence()) == []


@pytest.mark.parametrize(("break_it", "expected"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_one_anomaly(world: World, break_it: Callable[[World], None], expected: list[tuple[Kind, str]]) -> None:
    break_it(world)
    assert summaries(world.evidence()) == expected


def test_data_that_a_fault_refuses_may_count_as_wrong(world: World) -> None:
    blamed_for_a_store(world)
    assert accounting.check(world.evidence(faults=(fault(name="refuse_sample", target="postgres"),))) == ()


def test_code_refused_while_the_cache_is_harmed(world: World) -> None:
    code_refused(world)
    for op in world.rows["ops"][-2:]:
        op["started_ms"] = op["ended_ms"] = STARTED_MS + 15_000
    harmed = fault(name="flush_redis", target="redis")
    assert answers.check(world.evidence(faults=(harmed,))) == ()
    assert len(answers.check(world.evidence(faults=(replace(harmed, target="worker-1", name="kill_worker"),)))) == 1


@pytest.mark.parametrize("column", ["total", "mean", "minimum", "maximum", "sample_count"])
def test_aggregate_off_in_one_figure(world: World, column: str) -> None:
    type_ = STEPS if column == "total" else HEART
    evidence = world.evidence()
    change = "sample_count + 1" if column == "sample_count" else f"{column} * (1 + 1e-8)"
    evidence.tables.execute(f"UPDATE aggregates SET {column} = {change} WHERE user_id = 1 AND type = '{type_}'")
    [anomaly] = aggregates.check(evidence)
    assert (anomaly.kind, anomaly.ids["user"], anomaly.ids["type"]) == (Kind.WRONG_AGGREGATE, "u1", type_)
    assert anomaly.summary.count("count" if column == "sample_count" else column) >= 1


def test_aggregate_within_tolerance(world: World) -> None:
    evidence = world.evidence()
    evidence.tables.execute("UPDATE aggregates SET mean = mean * (1 + 1e-11)")
    assert aggregates.check(evidence) == ()


@pytest.mark.parametrize("statement", ["DELETE FROM aggregates WHERE user_id = 1 AND type = $type",
                                       "UPDATE aggregates SET day = day + 1 WHERE user_id = 1 AND type = $type"],
                         ids=["missing", "other day"])  # fmt: skip
def test_aggregate_of_the_wrong_day(world: World, statement: str) -> None:
    evidence = world.evidence()
    evidence.tables.execute(statement, {"type": HEART})
    assert {each.ids["type"] for each in aggregates.check(evidence)} == {HEART}


def test_aggregates_as_told(world: World) -> None:
    evidence = world.evidence()
    [(day, mean, low, high, count)] = evidence.rows(
        "SELECT day, mean, minimum, maximum, sample_count FROM aggregates WHERE user_id = 1 AND type = $type",
        {"type": HEART},
    )
    told = {"day": str(day), "total": None, "mean": mean, "minimum": low, "maximum": high, "sampleCount": count}
    other_day = ("2026-03-11", "2026-05-31")
    for days, asked, expected in (
        ([told], (str(day), str(day)), 0),
        ([told | {"maximum": high + 1}], ("2026-03-01", "2026-05-31"), 1),
        ([], ("2026-03-01", str(day)), 1),
        ([], (str(day), "2026-05-31"), 1),
        ([], other_day, 0),
        ([told], other_day, 1),
    ):
        evidence.tables.execute("DELETE FROM ops WHERE kind = 'aggregates'")
        evidence.tables.execute(
            "INSERT INTO ops (op, kind, user, device, outcome, type, wrong, facts, attempts)"
            " VALUES ('a', 'aggregates', 'u1', 'u1/d0', 'OK', ?, [], ?, '[]')",
            [HEART, json.dumps({"final": True, "days": days, "first": asked[0], "last": asked[1]})],
        )
        assert len(answers.check(evidence)) == expected


@pytest.mark.parametrize(("redriven_ms", "expected"), [(-1, 0), (1, 1), (None, 0)], ids=["before", "after", "unknown"])
def test_an_anchor_ahead_before_its_batch_was_redriven(world: World, redriven_ms: int | None, expected: int) -> None:
    seen_ahead(world)
    world.add("redrives", id=1, kind="batch", target=BATCH, actor="operator")
    if redriven_ms is not None:
        world.op(kind="redrive", started_ms=STARTED_MS + redriven_ms)
    assert len(anchors.check(world.evidence())) == expected


def test_redriven_batch_may_end_again(world: World) -> None:
    finalised_twice(world)
    world.add("redrives", id=1, kind="batch", target=BATCH, actor="operator")
    assert accounting.check(world.evidence()) == ()


def test_declared_abandoned(world: World) -> None:
    world.kept["expectations"] = Expectations(must_abandon=frozenset({KEY}), has_faults=False)
    [anomaly] = accounting.check(world.evidence())
    assert anomaly.summary == f"batch {BATCH} is COMPLETED; with 2 DONE and 0 FAILED of 2 chunks it must be ABANDONED"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"finished_ms": None}, f"batch {BATCH} is ABANDONED without an end time"),
    ],
    ids=["ended", "no end"],
)
def test_an_abandoned_batch_has_an_end(world: World, changes: dict[str, object], problem: str | None) -> None:
    world.kept["expectations"] = Expectations(must_abandon=frozenset({KEY}), has_faults=False)
    world.one("batches", id=BATCH).update({"status": "ABANDONED", **changes})
    assert [each.summary for each in accounting.check(world.evidence())] == ([problem] if problem else [])


def test_an_abandoned_batch_that_is_still_imported_has_no_end_yet(world: World) -> None:
    world.kept["expectations"] = Expectations(must_abandon=frozenset({KEY}), has_faults=False)
    world.one("batches", id=BATCH).update(status="ABANDONED", finished_ms=None, done_count=1)
    world.one("chunks", id=2).update(status="PENDING", finished_ms=None)
    world.rows["records"] = [each for each in world.rows["records"] if each["chunk_id"] != 2]
    assert accounting.check(world.evidence()) == ()


@pytest.mark.parametrize(("told", "expected"), [([1], 0), ([2], 1), ([0], 1), ([], 1)], ids=str)
def test_failed_chunks_as_told(world: World, told: list[int], expected: int) -> None:
    world.one("chunks", id=2).update(status="FAILED", imported_count=0, duplicate_count=0, rejected_count=0)
    world.one("batches", id=BATCH).update(done_count=1, failed_count=1)
    progress = {
        "status": "COMPLETED", "doneCount": 1, "failedCount": 1, "importedSamples": 4, "duplicateSamples": 1,
        "rejectedSamples": 1, "failedChunks": told,
    }  # fmt: skip
    world.op(batch=BATCH, facts={"progress": progress})
    assert len(answers.check(world.evidence())) == expected


def test_a_key_that_several_devices_use_is_each_ones_own(world: World) -> None:
    for user_id in (1, 2):
        key = f"u{user_id}/d0/{HEART}/b0"
        world.one("batches", batch_key=key)["batch_key"] = "everybody's"
        world.one("ops", batch_key=key, kind="start_import")["facts"]["idempotency_key"] = "everybody's"
        world.one("ops", batch_key=f"u{user_id}/d0/{STEPS}/b0", kind="start_import")["facts"]["idempotency_key"] = "x"
    evidence = world.evidence()
    name_batches(evidence.tables)
    assert dict(evidence.rows("SELECT id, batch_key FROM batches")) == {
        row["id"]: row["id"].replace("batch-", "u", 1).replace("-", "/d0/", 1) + "/b0" for row in world.rows["batches"]
    }
