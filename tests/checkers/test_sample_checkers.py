"""Loss, duplicates, phantoms, marks and records: clean, each anomaly alone, two at once."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest

from harness.anomaly import Kind
from harness.checkers import duplicates, loss, marks, phantoms, records
from harness.checkers.canonical import fingerprint_of
from harness.checkers.fates import counts
from harness.checkers.tally import NAMED, total_of
from harness.evidence.evidence import Evidence, Expectations
from tests.checkers.world import CHUNK_SIZE, HEART, World, uuid_of

KEY = f"u1/d0/{HEART}/b0"
BATCH = f"batch-1-{HEART}"
VALID, BAD, DUPLICATE, CONFLICT = f"{KEY}/0.1", f"{KEY}/0.4", f"{KEY}/0.5", f"{KEY}/1.5"
SAMPLE_CHECKERS = (loss.check, duplicates.check, phantoms.check, marks.check, records.check)


def found(evidence: Evidence) -> list[tuple[Kind, str]]:
    """Kind and sample (or whatever comes first) of every anomaly."""
    return [
        (each.kind, each.ids.get("sample") or next(iter(each.ids.values())))
        for check in SAMPLE_CHECKERS
        for each in check(evidence)
    ]


def not_stored(world: World) -> None:
    world.drop("records", hk_uuid=uuid_of(1))


def vanished_bad(world: World) -> None:
    world.drop("rejected", chunk_id=1)


def pending(world: World) -> None:
    """The second chunk still waits; nothing of it is stored."""
    world.one("chunks", id=2)["status"] = "PENDING"
    world.rows["records"] = [each for each in world.rows["records"] if each["chunk_id"] != 2]
    world.rows["rejected"] = [each for each in world.rows["rejected"] if each["chunk_id"] != 2]


def carried(world: World) -> None:
    pending(world)
    world.add("messages", place="queue", queue="default", task="healthkit.import_batch", message_id="m", batch=BATCH)


def failed(world: World) -> None:
    pending(world)
    world.one("chunks", id=2)["status"] = "FAILED"


def failed_without_raw(world: World) -> None:
    failed(world)
    world.one("chunks", id=2)["has_raw"] = False


def doubled(world: World) -> None:
    world.add("records", **(world.one("records", id=2) | {"id": 900}))


def doubled_batch(world: World) -> None:
    world.add("batches", **(world.one("batches", id=BATCH) | {"id": "batch-again"}))


def refused_yet_there(world: World) -> None:
    world.one("ops", kind="upload_chunk", batch_key=KEY, idx=0)["outcome"] = "FAILED"


def stranger(world: World) -> None:
    world.add(
        "records", **(world.one("records", id=2) | {"id": 901, "hk_uuid": uuid_of(77), "value": 1.5, "end_ms": 5})
    )


def unsent_batch(world: World) -> None:
    world.add("batches", **(world.one("batches", id=BATCH) | {"id": "other", "batch_key": "nobody"}))


def rejected_valid(world: World) -> None:
    world.drop("records", hk_uuid=uuid_of(1))
    world.add("rejected", id=90, chunk_id=1, position=1, reason="bad_value", sample="{}", is_resolved=False)


def rejected_duplicate(world: World) -> None:
    world.add("rejected", id=90, chunk_id=1, position=5, reason="uuid_conflict",
              sample=json.dumps({"uuid": uuid_of(0)}), is_resolved=False)  # fmt: skip


def wrong_reason(world: World) -> None:
    world.one("rejected", chunk_id=1)["reason"] = "bad_value"


def imported_bad(world: World) -> None:
    bad = world.one("samples", sample=BAD)
    world.add("records", **(world.one("records", id=2) | {"id": 902, "hk_uuid": bad["uuid"], "unit": "furlong"}))


def imported_bad_unrejected(world: World) -> None:
    """As a broken app leaves it: the record is there, the rejected row is not."""
    imported_bad(world)
    vanished_bad(world)


def conflict_stored_too(world: World) -> None:
    world.rows["rejected"] = [each for each in world.rows["rejected"] if each["reason"] != "uuid_conflict"]
    conflict = world.one("samples", sample=CONFLICT)
    original = world.one("records", hk_uuid=conflict["uuid"])
    world.add("records", **(original | {"id": 903, "value": conflict["value"]}))


def altered_reject(world: World) -> None:
    world.one("rejected", chunk_id=1)["sample"] = json.dumps({"unit": "count"})


def rounded(world: World) -> None:
    world.one("records", id=2)["value"] = 61.00001


def other_uuid(world: World) -> None:
    world.one("records", id=2)["hk_uuid"] = uuid_of(55)


def other_source_kind(world: World) -> None:
    world.one("sources", id=1)["kind"] = "phone"


CASES: list[tuple[Callable[[World], None], list[tuple[Kind, str]]]] = [
    (not_stored, [(Kind.LOST, VALID)]),
    (vanished_bad, [(Kind.LOST, BAD)]),
    (pending, [(Kind.LOST, f"{KEY}/1.{position}") for position in range(CHUNK_SIZE)]),
    (carried, [(Kind.LATE, f"{KEY}/1.{position}") for position in range(CHUNK_SIZE)]),
    (failed, [(Kind.GIVEN_UP, f"{KEY}/1.0")]),
    (failed_without_raw, [(Kind.LOST, f"{KEY}/1.{position}") for position in range(CHUNK_SIZE)]),
    (doubled, [(Kind.DUPLICATED, VALID)]),
    (doubled_batch, [(Kind.DUPLICATED, KEY)]),
    (refused_yet_there, [(Kind.PHANTOM, KEY), *[(Kind.PHANTOM, f"{KEY}/0.{at}") for at in (0, 1, 2, 3, 5)]]),
    (stranger, [(Kind.UNEXPECTED, VALID)]),
    (unsent_batch, [(Kind.UNEXPECTED, "other")]),
    (rejected_valid, [(Kind.WRONGLY_REJECTED, VALID)]),
    (rejected_duplicate, [(Kind.WRONGLY_REJECTED, DUPLICATE)]),
    (wrong_reason, [(Kind.WRONGLY_REJECTED, BAD)]),
    (imported_bad, [(Kind.WRONGLY_IMPORTED, BAD)]),
    (imported_bad_unrejected, [(Kind.WRONGLY_IMPORTED, BAD)]),
    (conflict_stored_too, [(Kind.WRONGLY_IMPORTED, CONFLICT)]),
    (altered_reject, [(Kind.WRONG_RECORD, BAD)]),
    (rounded, [(Kind.WRONG_RECORD, VALID)]),
    (other_uuid, [(Kind.WRONG_RECORD, VALID)]),
    (other_source_kind, [(Kind.WRONG_RECORD, "1")]),
]


@pytest.mark.parametrize(
    ("kept", "is_right"),
    [({"id": "w\0"}, True), ({"id": "w"}, False), ("w\0", False)],
    ids=["as sent", "without it", "another value"],
)
def test_what_a_column_cannot_hold_is_kept_as_text(world: World, kept: object, is_right: bool) -> None:
    world.one("samples", mark="bad")["sent"] = json.dumps({"id": "w\0"})
    world.one("rejected", reason="wrong_unit")["sample"] = json.dumps({"raw": json.dumps(kept)})
    found = marks.check(world.evidence())
    assert [each.kind for each in found] == ([] if is_right else [Kind.WRONG_RECORD])


def test_clean(world: World) -> None:
    evidence = world.evidence()
    assert found(evidence) == []
    assert counts(evidence) == {
        "attempted": 48, "acknowledged": 48, "present": 39, "rejected": 9, "given_up": 0, "cleaned": 0,
        "recovered": 0, "late": 0, "lost": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("break_it", "expected"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_one_anomaly(world: World, break_it: Callable[[World], None], expected: list[tuple[Kind, str]]) -> None:
    break_it(world)
    assert found(world.evidence()) == expected


def test_two_at_once(world: World) -> None:
    not_stored(world)
    world.add("records", **(world.one("records", id=3) | {"id": 900}))
    assert found(world.evidence()) == [(Kind.LOST, VALID), (Kind.DUPLICATED, f"{KEY}/0.2")]


def test_never_stored_is_named_before_what_waits(world: World) -> None:
    pending(world)
    world.drop("records", hk_uuid=world.one("samples", user="u2", position=1)["uuid"])
    assert [each.ids["user"] for each in loss.check(world.evidence())] == ["u2", *["u1"] * CHUNK_SIZE]


def test_declared_giving_up_is_no_anomaly(world: World) -> None:
    failed(world)
    evidence = world.evidence(expectations=Expectations(may_give_up=frozenset({(KEY, 1)})))
    assert loss.check(evidence) == ()
    assert counts(evidence)["given_up"] == CHUNK_SIZE


def test_unacknowledged_is_not_lost(world: World) -> None:
    not_stored(world)
    world.one("ops", kind="upload_chunk", batch_key=KEY, idx=0)["outcome"] = "UNKNOWN"
    evidence = world.evidence()
    assert found(evidence) == []
    assert counts(evidence)["recovered"] == CHUNK_SIZE - 1


def test_the_conflict_may_win(world: World) -> None:
    conflict = world.one("samples", sample=CONFLICT)
    world.one("records", hk_uuid=conflict["uuid"])["value"] = conflict["value"]
    world.one("rejected", chunk_id=2, reason="uuid_conflict")["position"] = 0
    assert found(world.evidence()) == []


def test_neither_content_stored_is_lost(world: World) -> None:
    conflict = world.one("samples", sample=CONFLICT)
    world.drop("records", hk_uuid=conflict["uuid"])
    assert found(world.evidence()) == [(Kind.LOST, f"{KEY}/1.0")]


def test_minus_zero_and_padded_unit_are_the_same(world: World) -> None:
    world.one("samples", sample=VALID)["value"] = 0.0
    world.one("records", hk_uuid=uuid_of(1))["value"] = -0.0
    assert found(world.evidence()) == []


def test_unfinished_upload_is_not_lost(world: World) -> None:
    pending(world)
    world.one("batches", id=BATCH)["status"] = "PENDING"
    world.one("ops", kind="start_import", batch_key=KEY)["facts"]["chunk_count"] = 3
    assert loss.check(world.evidence()) == ()


def test_cleaned_needs_a_fingerprint_and_permission(world: World) -> None:
    sample = world.one("samples", sample=VALID)
    not_stored(world)
    world.add(
        "fingerprints",
        user_id=1,
        fingerprint=fingerprint_of(HEART, sample["start_ms"], sample["end_ms"], 61.0, "count/min", "watch.u1"),
        hk_uuid=None,
    )
    assert found(world.evidence()) == [(Kind.LOST, VALID)]
    allowed = world.evidence(expectations=Expectations(may_clean=True))
    assert found(allowed) == []
    assert counts(allowed)["cleaned"] == 1


def test_a_uuid_that_was_dropped_is_not_said_to_be_another(world: World) -> None:
    world.one("records", id=2)["hk_uuid"] = None
    assert [each.summary.startswith("record 2 carries no UUID") for each in records.check(world.evidence())] == [True]


def test_a_record_that_nobody_sent_names_the_closest_that_was(world: World) -> None:
    stranger(world)
    record = world.one("records", id=901)
    record |= {"start_ms": world.one("records", id=2)["start_ms"] + 1}
    [anomaly] = phantoms.check(world.evidence())
    assert (anomaly.ids["record"], anomaly.ids["sample"]) == ("901", VALID)
    assert anomaly.summary.endswith(f"closest to it is {VALID}")


def test_redriven_reject_may_be_imported(world: World) -> None:
    imported_bad(world)
    assert found(world.evidence()) == [(Kind.WRONGLY_IMPORTED, BAD)]
    reject = world.one("rejected", chunk_id=1)
    reject["is_resolved"] = True
    bad, record = world.one("samples", sample=BAD), world.one("records", id=902)
    record |= {name: bad[name] for name in ("start_ms", "end_ms", "value", "source")}
    assert found(world.evidence()) == []


def test_too_late_for_a_closed_day(world: World) -> None:
    rejected_valid(world)
    world.rows["rejected"][-1]["reason"] = "day_closed"
    evidence = world.evidence(expectations=Expectations(may_clean=True))
    assert found(evidence) == [(Kind.WRONGLY_REJECTED, VALID)]
    evidence.tables.execute("UPDATE aggregates SET closed = true")
    assert found(evidence) == []


def test_a_record_that_hangs_on_a_strangers_source(world: World) -> None:
    world.add("sources", **(world.one("sources", id=1) | {"id": 3, "user_id": 2}))
    world.one("records", id=2)["source_id"] = 3
    [anomaly] = records.check(world.evidence())
    assert (anomaly.kind, anomaly.ids["source"], anomaly.ids["record"]) == (Kind.WRONG_RECORD, "3", "2")


def test_a_large_number_is_kept_as_sent_however_it_is_written(world: World) -> None:
    world.one("samples", sample=BAD)["sent"] = '{"value": 1e100, "unit": "bpm"}'
    for kept, expected in ((str(10**100), []), (str(10**99), [(Kind.WRONG_RECORD, BAD)])):
        world.one("rejected", chunk_id=1)["sample"] = f'{{"unit": "bpm", "value": {kept}}}'
        assert found(world.evidence()) == expected


def test_what_is_known_is_a_duplicate_however_closed_its_day(world: World) -> None:
    rejected_duplicate(world)
    world.rows["rejected"][-1]["reason"] = "day_closed"
    evidence = world.evidence(expectations=Expectations(may_clean=True))
    evidence.tables.execute("UPDATE aggregates SET closed = true")
    assert found(evidence) == [(Kind.WRONGLY_REJECTED, DUPLICATE)]


def test_many_rejected_samples_need_little_memory() -> None:
    """Some ten thousand of a kilobyte each, every one of them altered: read in portions, and only the first named."""
    count, kilobyte = 30_000, 1_000
    evidence = World().evidence()
    evidence.tables.execute("DELETE FROM rejected")
    evidence.tables.execute(
        f"""INSERT INTO samples (sample, batch_key, idx, position, mark, sent)
            SELECT 'many/' || n, '{KEY}', 0, n, 'bad', '{{"n":' || n || ',"pad":"' || repeat('x', {kilobyte}) || '"}}'
            FROM generate_series(1000, {999 + count}) g(n)"""
    )
    evidence.tables.execute(
        """INSERT INTO rejected SELECT position, 1, position, 'bad_value', '{}', false
           FROM samples WHERE sample LIKE 'many/%'"""
    )
    marks.check(evidence)  # what it prepares once
    tracemalloc.start()
    altered = [each for each in marks.check(evidence) if each.kind is Kind.WRONG_RECORD]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(altered) == NAMED + 1
    assert total_of(altered)[Kind.WRONG_RECORD] == count
    assert peak < count * kilobyte / 2
