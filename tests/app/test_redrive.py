"""Re-drives: complete, idempotent, audited."""

import json
import os
import uuid
from functools import partial
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from django.core.management import CommandError, call_command

from healthkit.database import execute, fetch_all
from healthkit.dead_letters import dead_letter_record
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.models.redrive import RedriveKind
from healthkit.redriving import TargetNotFound, redrive
from tests.app.imports import (
    batch,
    batch_state,
    chunk_state,
    count,
    in_another_session,
    phone,
    queued,
    sample,
    sessions_waiting,
    with_settings,
)

pytestmark = pytest.mark.usefixtures("stores")


def run(batch_id: uuid.UUID, index: int = 0) -> Outcome:
    return chunk_run(batch_id=batch_id, chunk_index=index, holder="x")


def failed_batch() -> uuid.UUID:
    """Chunks 0 and 2 have failed, 1 is done; the fault is mended afterwards."""
    batch_id = batch(phone(), ["broken", [sample(1)], "broken"], new_anchor="a1")
    with with_settings(chunk_retry_delays_s=()):
        outcomes = [run(batch_id, index) for index in range(3)]
    assert outcomes == [Outcome.FAILED, Outcome.DONE, Outcome.FAILED]
    for index in (0, 2):
        execute(
            "UPDATE healthkit_import_chunk SET samples = $3 WHERE batch_id = $1 AND chunk_index = $2",
            batch_id,
            index,
            "[]",
        )
    return batch_id


def audit() -> list[tuple[str, str, int]]:
    rows = fetch_all("SELECT kind, actor, redriven_count FROM healthkit_redrive ORDER BY id")
    return [(row[0], row[1], row[2]) for row in rows]


def test_a_batch_is_put_back_once_and_completes() -> None:
    batch_id = failed_batch()
    first, second = (redrive(kind=RedriveKind.BATCH, target=str(batch_id), actor="ann") for _ in range(2))
    assert (first, second) == (2, 0)
    assert audit() == [("batch", "ann", 2), ("batch", "ann", 0)]
    assert batch_state(batch_id)["status"] == "PROCESSING"
    assert queued()[-1] == (str(batch_id), 0)
    assert [run(batch_id, index) for index in (0, 2)] == [Outcome.DONE, Outcome.DONE]
    ended = batch_state(batch_id)
    assert (ended["status"], ended["done_count"], ended["failed_count"]) == ("COMPLETED", 3, 0)
    assert (count("anchor_move"), count("data_record")) == (1, 1)
    assert fetch_all("SELECT count(*) FROM healthkit_dead_letter WHERE redriven_at IS NULL") == [(0,)]


@pytest.mark.parametrize("spelling", ["id", "batch:index"])
def test_one_chunk_is_put_back_with_fresh_counters(spelling: str) -> None:
    batch_id = failed_batch()
    target = str(chunk_state(batch_id, 2)["id"]) if spelling == "id" else f"{batch_id}:2"
    assert redrive(kind=RedriveKind.CHUNK, target=target, actor="ann") == 1
    state = chunk_state(batch_id, 2)
    assert (state["status"], state["data_attempts"], state["finished_at"]) == ("PENDING", 0, None)
    assert chunk_state(batch_id, 0)["status"] == "FAILED"
    assert run(batch_id, 2) is Outcome.DONE
    assert batch_state(batch_id)["status"] == "COMPLETED"


def test_a_done_chunk_is_left_alone() -> None:
    batch_id = failed_batch()
    assert redrive(kind=RedriveKind.CHUNK, target=f"{batch_id}:1", actor="ann") == 0
    assert chunk_state(batch_id, 1)["status"] == "DONE"


def test_the_dead_letter_of_a_chunk_puts_the_chunk_back() -> None:
    batch_id = failed_batch()
    [(letter,)] = fetch_all("SELECT id FROM healthkit_dead_letter WHERE chunk_id = $1", chunk_state(batch_id, 0)["id"])
    counts = [redrive(kind=RedriveKind.DEAD_LETTER, target=str(letter), actor="ann") for _ in range(2)]
    assert counts == [1, 0]
    assert chunk_state(batch_id, 0)["status"] == "PENDING"


def test_two_operators_who_put_back_the_same_chunk_do_not_wait_for_each_other_in_a_circle() -> None:
    batch_id = failed_batch()
    chunk_id = chunk_state(batch_id, 0)["id"]
    [(letter,)] = fetch_all("SELECT id FROM healthkit_dead_letter WHERE chunk_id = $1", chunk_id)
    with psycopg.connect(os.environ["DATABASE_URL"]) as lab:
        lab.execute("SELECT 1 FROM healthkit_import_batch WHERE id = %s FOR UPDATE", (batch_id,))
        operators = []
        for kind, target in ((RedriveKind.CHUNK, chunk_id), (RedriveKind.DEAD_LETTER, letter)):
            operators.append(in_another_session(partial(redrive, kind=kind, target=str(target), actor="ann")))
            sessions_waiting(len(operators))
    assert [each.result() for each in operators] == [1, 0]
    assert audit() == [("chunk", "ann", 1), ("dead_letter", "ann", 0)]


def message_letter(task: str = "healthkit.import_batch", argument: str = "11111111-1111-1111-1111-111111111111") -> int:
    dead_letter_record(
        task_name=task,
        message_id="m1",
        payload={"task": task, "args": [argument], "kwargs": {}, "queue": "default"},
        reason="unregistered",
    )
    [(letter,)] = fetch_all("SELECT id FROM healthkit_dead_letter")
    return int(letter)


@pytest.mark.parametrize("failure", [SystemExit, None], ids=["died", "broker away"])
def test_a_message_that_was_not_published_is_not_noted_as_put_back(failure: type[BaseException] | None) -> None:
    letter = message_letter()
    again = partial(redrive, kind=RedriveKind.DEAD_LETTER, target=str(letter), actor="ann")
    with patch("healthkit.redriving.publish", side_effect=failure, return_value=False):
        if failure is None:
            assert again() == 0
        else:
            with pytest.raises(failure):
                again()
    assert fetch_all("SELECT redriven_at FROM healthkit_dead_letter") == [(None,)]
    assert sum(counted for *_, counted in audit()) == 0
    assert (again(), len(queued())) == (1, 1)


@pytest.mark.parametrize("argument", ["📱", "a\x00b", "half \ud83d", r"\u0000", r"C:\udocs"])
def test_a_message_of_whatever_content_is_put_back(argument: str) -> None:
    letter = message_letter(argument=argument)
    assert redrive(kind=RedriveKind.DEAD_LETTER, target=str(letter), actor="ann") == 1
    assert queued() == [(argument, None)]


def test_an_unregistered_task_is_kept_once_and_published_once() -> None:
    payload = {"task": "healthkit.import_batch", "args": ["11111111-1111-1111-1111-111111111111"], "kwargs": {}}
    kept = [
        dead_letter_record(task_name="t\x00", message_id="m1", payload=payload, reason="unregistered", batch_id="no id")
        for _ in range(2)
    ]
    assert kept == [True, False]
    [(letter,)] = fetch_all("SELECT id FROM healthkit_dead_letter")
    counts = [redrive(kind=RedriveKind.DEAD_LETTER, target=str(letter), actor="ann") for _ in range(2)]
    assert counts == [1, 0]
    assert queued() == [("11111111-1111-1111-1111-111111111111", None)]


def test_what_could_not_be_decoded_is_kept_for_a_person() -> None:
    dead_letter_record(task_name="", message_id="m1", payload={"body": "\x00\ud800"}, reason="undecodable")
    [(letter,)] = fetch_all("SELECT id FROM healthkit_dead_letter")
    assert redrive(kind=RedriveKind.DEAD_LETTER, target=str(letter), actor="ann") == 0
    assert queued() == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"source": {"id": "w", "name": "My 📱", "kind": "watch"}}, id="emoji"),
        pytest.param({"source": {"id": "w", "name": "Infinity Watch of NaN", "kind": "watch"}}, id="names of numbers"),
        pytest.param({"source": {"id": "w", "name": r"\u0000 \ud83d", "kind": "watch"}}, id="text like escapes"),
        pytest.param({"note": "a\x00b"}, id="NUL"),
        pytest.param({"a\x00b": "note"}, id="NUL in a name"),
        pytest.param({"note": "\ud83d"}, id="half a character"),
        pytest.param({"note": 10**400}, id="a number without end"),
    ],
)
def test_a_rejected_sample_of_whatever_content_is_imported_once_it_can_be(changes: dict[str, Any]) -> None:
    owner = phone()
    first = sample(1)
    batch_id = batch(owner, [[first], [first | {"value": 61} | changes]])
    assert [run(batch_id, index) for index in (0, 1)] == [Outcome.DONE, Outcome.DONE]
    assert fetch_all("SELECT reason FROM healthkit_rejected_sample") == [("uuid_conflict",)]
    execute("DELETE FROM healthkit_data_record")  # the conflict is settled by hand
    execute("DELETE FROM healthkit_record_fingerprint")
    assert redrive(kind=RedriveKind.BATCH, target=str(batch_id), actor="ann") == 1
    assert fetch_all("SELECT value FROM healthkit_data_record") == [(61.0,)]


def test_a_sample_that_looks_like_a_wrapped_one_stays_what_it_is() -> None:
    looks_wrapped = {"raw": json.dumps(sample(1))}
    batch_id = batch(phone(), [[looks_wrapped]])
    run(batch_id)
    assert redrive(kind=RedriveKind.BATCH, target=str(batch_id), actor="ann") == 0
    assert fetch_all("SELECT reason, resolved_at FROM healthkit_rejected_sample") == [("malformed", None)]


def test_rejected_samples_are_imported_once_their_type_has_a_row() -> None:
    new_type = "HKQuantityTypeIdentifierBloodGlucose"
    good = sample(1) | {"type": new_type, "unit": "mg/dL"}
    batch_id = batch(
        phone(), [[good, good | {"uuid": None}, sample(2) | {"type": new_type, "unit": "?"}]], type_identifier=new_type
    )
    run(batch_id)
    assert redrive(kind=RedriveKind.BATCH, target=str(batch_id), actor="ann") == 0
    execute(
        "INSERT INTO healthkit_sample_type (identifier, name, kind, unit) VALUES ($1, 'Glucose', 'discrete', 'mg/dL')",
        new_type,
    )
    try:
        counts = [redrive(kind=RedriveKind.BATCH, target=str(batch_id), actor="ann") for _ in range(2)]
        assert counts == [1, 0]
        state = chunk_state(batch_id)
        assert (state["imported_count"], state["duplicate_count"], state["rejected_count"]) == (1, 1, 1)
        assert fetch_all("SELECT sample_index FROM healthkit_rejected_sample WHERE resolved_at IS NULL") == [(2,)]
        assert (count("data_record"), count("daily_aggregate")) == (1, 1)
    finally:
        execute("DELETE FROM healthkit_data_record")
        execute("DELETE FROM healthkit_daily_aggregate")
        execute("DELETE FROM healthkit_sample_type WHERE identifier = $1", new_type)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        pytest.param(RedriveKind.BATCH, "11111111-1111-1111-1111-111111111111", id="no such batch"),
        pytest.param(RedriveKind.BATCH, "x", id="no batch id"),
        pytest.param(RedriveKind.CHUNK, "999", id="no such chunk"),
        pytest.param(RedriveKind.CHUNK, "11111111-1111-1111-1111-111111111111:0", id="no such index"),
        pytest.param(RedriveKind.DEAD_LETTER, "9" * 40, id="no such letter"),
    ],
)
def test_a_target_that_is_not_there(kind: RedriveKind, target: str) -> None:
    with pytest.raises(TargetNotFound):
        redrive(kind=kind, target=target, actor="ann")


def test_the_command_says_how_much_was_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    batch_id = failed_batch()
    call_command("redrive", "batch", str(batch_id), "--actor", "bob")
    assert capsys.readouterr().out.splitlines()[-1] == "2 put back"
    assert audit() == [("batch", "bob", 2)]
    with pytest.raises(CommandError, match="no such batch"):
        call_command("redrive", "batch", "x")
