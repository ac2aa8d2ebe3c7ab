"""What becomes of each sample: imported, duplicate, or kept with one of the closed reasons."""

import json
import uuid
from typing import Any
from unittest.mock import patch

import pytest

from healthkit.database import execute, fetch_all
from healthkit.importing import chunk as chunk_module
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.importing.claim import Claim
from healthkit.importing.transaction import Imported
from tests.app.imports import PHONE, STEPS, WATCH, batch, chunk_state, count, phone, sample

pytestmark = pytest.mark.usefixtures("stores")
FOREVER = "2100-01-01T00:00:00Z"


def run(batch_id: uuid.UUID, index: int = 0) -> Outcome:
    return chunk_run(batch_id=batch_id, chunk_index=index, holder="x")


def reasons() -> list[tuple[int, str]]:
    return [
        (row[0], row[1]) for row in fetch_all("SELECT sample_index, reason FROM healthkit_rejected_sample ORDER BY 1")
    ]


BAD: list[tuple[str, str, Any]] = [
    ("a number", "malformed", 42),
    ("null", "malformed", None),
    ("a text", "malformed", "sample"),
    ("an array", "malformed", []),
    ("an empty object", "malformed", {}),
    ("type is no text", "malformed", sample(type=7)),
    ("uuid is none", "malformed", sample(uuid="not a uuid")),
    ("uuid is a number", "malformed", sample(uuid=7)),
    ("type that has no row", "unknown_type", sample(type="HKQuantityTypeIdentifierUnheardOf")),
    ("type with a NUL", "unknown_type", sample(type="HK\x00")),
    ("type of another batch", "wrong_type", sample(type=STEPS)),
    ("unit of another type", "wrong_unit", sample(unit="count")),
    ("no unit", "wrong_unit", sample(unit=None)),
    ("unit is a list", "wrong_unit", sample(unit=["count/min"])),
    ("value is a text", "bad_value", sample(value="60")),
    ("value is a truth", "bad_value", sample(value=True)),
    ("no value", "bad_value", sample(value=None)),
    ("value too large for a float", "bad_value", sample(value=10**400)),
    ("start is no time", "bad_time", sample(start="yesterday")),
    ("start is a number", "bad_time", sample(start=1759651200)),
    ("no zone", "bad_time", sample(start="2025-10-05T08:00:00")),
    ("only a date", "bad_time", sample(start="2025-10-05")),
    ("end before start", "bad_time", sample(end="2025-10-05T07:59:59Z")),
    ("in the future", "bad_time", sample(start=FOREVER, end=FOREVER)),
    ("long ago", "bad_time", sample(start="1999-12-31T23:59:59Z")),
    ("longer than seven days", "bad_time", sample(end="2025-10-12T08:00:00.001Z")),
    ("year 10000", "bad_time", sample(start="10000-01-01T00:00:00Z")),
    ("year one, offset to nothing", "bad_time", sample(start="0001-01-01T00:00:00+14:00")),
    ("no source", "bad_source", sample(source=None)),
    ("source without an identifier", "bad_source", sample(source={"name": "x", "kind": "watch"})),
    ("blank identifier", "bad_source", sample(source=WATCH | {"id": "  "})),
    ("endless identifier", "bad_source", sample(source=WATCH | {"id": "x" * 256})),
    ("unknown kind of source", "bad_source", sample(source=WATCH | {"kind": "toaster"})),
    ("identifier with a NUL", "bad_source", sample(source=WATCH | {"id": "a\x00b"})),
    ("name with half a character", "bad_source", sample(source=WATCH | {"name": "\ud83d"})),
]


@pytest.mark.parametrize(("reason", "bad"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_sample_is_kept_with_its_reason_and_the_good_one_beside_it_is_imported(reason: str, bad: Any) -> None:
    batch_id = batch(phone(), [[bad, sample(1)]])
    assert run(batch_id) is Outcome.DONE
    assert reasons() == [(0, reason)]
    [(kept,)] = fetch_all("SELECT sample::text FROM healthkit_rejected_sample")
    as_kept = json.loads(kept)
    assert (json.loads(as_kept["raw"]) if isinstance(as_kept, dict) and "raw" in as_kept else as_kept) == bad
    state = chunk_state(batch_id)
    assert (state["imported_count"], state["rejected_count"]) == (1, 1)


def test_what_is_not_json_in_one_sample_costs_that_sample_only() -> None:
    text = json.dumps([sample(1, value=12345), sample(2)]).replace("12345", "1e400")
    batch_id = batch(phone(), [text])
    assert run(batch_id) is Outcome.DONE
    assert (reasons(), count("data_record")) == ([(0, "bad_value")], 1)


def test_the_largest_values_of_a_day_are_still_summed_and_averaged() -> None:
    for value in (1e100, -1e100):
        assert run(batch(phone(), [[sample(1, value=value), sample(2)]])) is Outcome.DONE
    steps = [sample(number, value=1e100, type_identifier=STEPS) for number in range(2)]
    assert run(batch(phone(), [steps], type_identifier=STEPS)) is Outcome.DONE
    assert (reasons(), count("data_record")) == ([], 6)


@pytest.mark.parametrize("value", [1e200, -1e200])
def test_a_value_that_no_day_could_average_costs_that_sample_only(value: float) -> None:
    batch_id = batch(phone(), [[sample(1, value=value), sample(2)]])
    assert run(batch_id) is Outcome.DONE
    assert (reasons(), count("data_record")) == ([(0, "bad_value")], 1)


def test_negative_steps_are_bad_and_negative_discrete_values_are_not() -> None:
    steps = batch(phone(), [[sample(value=-1, type_identifier=STEPS)]], type_identifier=STEPS)
    heart = batch(phone(), [[sample(value=-1)]])
    run(steps)
    run(heart)
    assert (reasons(), count("data_record")) == ([(0, "bad_value")], 1)


def test_the_same_content_is_one_record_whatever_its_uuid_spelling_and_batch() -> None:
    owner = phone()
    first = sample(1)
    again = [
        first,
        first | {"uuid": str(uuid.uuid4())},
        first | {"uuid": None},
        first | {"value": 60.0},
        first | {"start": first["start"].replace("Z", "+00:00")},
        first | {"source": WATCH | {"name": "Renamed"}},
        first | {"uuid": first["uuid"].upper()},
    ]
    assert run(batch(owner, [[first]])) is Outcome.DONE
    second = batch(owner, [again])
    assert run(second) is Outcome.DONE
    assert (count("data_record"), count("record_fingerprint"), reasons()) == (1, 1, [])
    assert chunk_state(second)["duplicate_count"] == len(again)


def test_two_users_may_have_the_same_sample() -> None:
    one = sample(1)
    run(batch(phone(), [[one]]))
    run(batch(phone(), [[one]]))
    assert count("data_record") == 2


def test_a_known_uuid_with_other_content_is_a_conflict_across_chunks_and_inside_one() -> None:
    owner = phone()
    first, second = sample(1), sample(2)
    run(batch(owner, [[first]]))
    later = batch(owner, [[first | {"value": 61}, second, second | {"start": "2025-10-05T07:59:00Z"}]])
    run(later)
    assert reasons() == [(0, "uuid_conflict"), (2, "uuid_conflict")]
    assert (count("data_record"), chunk_state(later)["imported_count"]) == (2, 1)


def test_a_type_row_added_while_running_applies_to_the_next_chunk() -> None:
    new_type = "HKQuantityTypeIdentifierBloodGlucose"
    made = [sample(minute) | {"type": new_type, "unit": "mg/dL"} for minute in (1, 2)]
    batch_id = batch(phone(), [[made[0]], [made[1]]], type_identifier=new_type)
    run(batch_id, 0)
    execute(
        "INSERT INTO healthkit_sample_type (identifier, name, kind, unit) VALUES ($1, 'Glucose', 'discrete', 'mg/dL')",
        new_type,
    )
    try:
        run(batch_id, 1)
        assert (reasons(), count("data_record")) == ([(0, "unknown_type")], 1)
    finally:
        execute("DELETE FROM healthkit_data_record")
        execute("DELETE FROM healthkit_daily_aggregate")
        execute("DELETE FROM healthkit_sample_type WHERE identifier = $1", new_type)


def test_sources_are_kept_once_with_their_precedence() -> None:
    third = {"id": "app", "name": "App", "kind": "third_party"}
    run(batch(phone(), [[sample(1), sample(2, source=PHONE), sample(3, source=third), sample(4, source=PHONE)]]))
    assert fetch_all("SELECT identifier, precedence FROM healthkit_data_source ORDER BY precedence") == [
        (WATCH["id"], 1),
        (PHONE["id"], 2),
        ("app", 3),
    ]


def test_a_source_that_another_import_has_stored_meanwhile_keeps_its_first_name() -> None:
    owner = phone()
    whole = chunk_module._import

    def after_another(claim: Claim) -> Imported:
        patched.stop()
        run(batch(phone(user_id=owner.user_id), [[sample(1, source=WATCH | {"name": "First"})]]))
        return whole(claim)

    patched = patch.object(chunk_module, "_import", after_another)
    patched.start()
    run(batch(owner, [[sample(2, source=WATCH | {"name": "Second"})]]))
    assert fetch_all("SELECT name FROM healthkit_data_source") == [("First",)]


def test_a_source_that_is_named_as_two_kinds_is_the_better_one() -> None:
    both = [sample(minute, source=WATCH | {"kind": kind}) for minute, kind in enumerate(("third_party", "phone"))]
    for samples in (both, both[::-1]):
        run(batch(phone(), [samples]))
    assert fetch_all("SELECT kind FROM healthkit_data_source") == [("phone",), ("phone",)]


def test_records_are_inserted_in_the_order_of_start_then_uuid() -> None:
    made = [sample(minute) for minute in (5, 3, 4)] + [sample(4, value=1) for _ in range(3)]
    run(batch(phone(), [made]))
    stored = [
        (row[0], str(row[1])) for row in fetch_all("SELECT start_at, hk_uuid FROM healthkit_data_record ORDER BY id")
    ]
    assert stored == sorted(stored)
    assert len(stored) == 4
