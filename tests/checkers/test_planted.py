"""Property: whatever single thing is broken in a valid world, the checkers name that very thing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.anomaly import Kind
from harness.checkers.suite import check_all
from tests.checkers.world import World

FEW = settings(max_examples=6)  # each is a whole world


def named(world: World) -> dict[Kind, list[dict[str, str]]]:
    found: dict[Kind, list[dict[str, str]]] = {}
    for each in check_all(world.evidence()).anomalies:
        found.setdefault(each.kind, []).append(dict(each.ids))
    return found


def stored_alone(world: World) -> list[dict[str, Any]]:
    """Samples whose record no other sample accounts for."""
    return [row for row in world.rows["samples"] if row["mark"] == "valid" and row["position"] in (1, 2, 3)]


@FEW
@given(st.data())
def test_a_lost_sample_is_named(data: st.DataObject) -> None:
    world = World()
    sample = data.draw(st.sampled_from(stored_alone(world)))
    world.drop("records", hk_uuid=sample["uuid"])
    assert [each["sample"] for each in named(world)[Kind.LOST]] == [sample["sample"]]


@FEW
@given(st.data())
def test_a_doubled_record_is_named(data: st.DataObject) -> None:
    world = World()
    sample = data.draw(st.sampled_from(stored_alone(world)))
    world.add("records", **(world.one("records", hk_uuid=sample["uuid"]) | {"id": 999}))
    assert [each["sample"] for each in named(world)[Kind.DUPLICATED]] == [sample["sample"]]


@FEW
@given(st.data())
def test_a_changed_field_is_named(data: st.DataObject) -> None:
    world = World()
    sample = data.draw(st.sampled_from(stored_alone(world)))
    field, value = data.draw(
        st.sampled_from([("value", 60.0001), ("start_ms", 1), ("end_ms", 2), ("unit", "x"), ("source", "other")])
    )
    world.one("records", hk_uuid=sample["uuid"])[field] = value
    [wrong] = named(world)[Kind.WRONG_RECORD]
    assert wrong["sample"] == sample["sample"]


@FEW
@given(st.data())
def test_a_rejected_valid_sample_is_named(data: st.DataObject) -> None:
    world = World()
    sample = data.draw(st.sampled_from(stored_alone(world)))
    record = world.drop("records", hk_uuid=sample["uuid"])
    world.add("rejected", id=99, chunk_id=record["chunk_id"], position=sample["position"], reason="bad_time",
              sample="{}", is_resolved=False)  # fmt: skip
    assert [each["sample"] for each in named(world)[Kind.WRONGLY_REJECTED]] == [sample["sample"]]


@FEW
@given(st.data())
def test_a_stranger_is_named(data: st.DataObject) -> None:
    world = World()
    record = data.draw(st.sampled_from(world.rows["records"]))
    changed = data.draw(st.sampled_from([("value", 1.25), ("start_ms", 5), ("source", "nobody")]))
    world.add("records", **(record | {"id": 999, "hk_uuid": None, "end_ms": 77, changed[0]: changed[1]}))
    assert [each["record"] for each in named(world)[Kind.UNEXPECTED]] == ["999"]


@FEW
@given(st.data())
def test_a_wrong_counter_is_named(data: st.DataObject) -> None:
    world = World()
    table, column = data.draw(
        st.sampled_from(
            [
                ("chunks", "imported_count"),
                ("chunks", "duplicate_count"),
                ("chunks", "rejected_count"),
                ("batches", "done_count"),
                ("batches", "failed_count"),
                ("batches", "uploaded_count"),
            ]
        )
    )
    row = data.draw(st.sampled_from(world.rows[table]))
    row[column] += data.draw(st.integers(1, 5))
    batch = row["batch"] if table == "chunks" else row["id"]
    assert {each["batch"] for each in named(world)[Kind.WRONG_ACCOUNTING]} == {batch}


@FEW
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40))
def test_a_key_that_never_expires_is_named(key: str) -> None:
    world = World()
    world.add("immortal_keys", key=key)
    assert [each["key"] for each in named(world)[Kind.UNBOUNDED]] == [key]
