"""Accepting uploads: an acknowledgement means committed, and a repetition changes nothing."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection

from healthkit import raw_samples
from tests.app.phones import PROGRESS, Reply, batch_of, registered
from tests.app.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.usefixtures("stores")


def rows(sql: str) -> list[tuple[Any, ...]]:
    """What Postgres holds."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def messages() -> list[dict[str, Any]]:
    """Headers of the messages on the queue of imports."""
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        return [json.loads(each)["headers"] for each in client.lrange("default", 0, -1)]


def test_chunk_is_committed_when_acknowledged() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    answer = phone.upload(batch, 0, "[1, 2, 3]")
    assert answer.data["uploadChunk"] == {"batchId": batch, "index": 0, "receivedCount": 3, "batchStatus": "PENDING"}
    assert rows("SELECT chunk_index, samples, sample_count, status FROM healthkit_import_chunk") == [
        (0, "[1, 2, 3]", 3, "PENDING")
    ]


def test_last_chunk_starts_the_import_once() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    statuses = [phone.upload(batch, index).data["uploadChunk"]["batchStatus"] for index in (1, 0, 0)]
    assert statuses == ["PENDING", "PROCESSING", "PROCESSING"]
    sent = messages()
    assert [(each["task"], each["batch"]) for each in sent] == [("healthkit.import_batch", batch)]
    assert {"build", "published_at"} <= sent[0].keys()
    assert rows("SELECT uploaded_count, dispatch_count, dispatched_at IS NULL FROM healthkit_import_batch") == [
        (2, 1, False)
    ]


def test_repeated_upload_has_the_same_answer() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    first, second = phone.upload(batch, 0, "[1]"), phone.upload(batch, 0, "[1]")
    assert first == second
    assert rows("SELECT uploaded_count FROM healthkit_import_batch") == [(1,)]


def test_parallel_uploads_of_one_chunk_count_once() -> None:
    phone = registered()
    batch = batch_of(phone.start(chunks=3))
    answers = in_parallel(6, lambda: phone.upload(batch, 1, "[7]"))
    assert {each.status for each in answers} == {200}
    assert rows("SELECT uploaded_count FROM healthkit_import_batch") == [(1,)]
    assert rows("SELECT count(*) FROM healthkit_import_chunk") == [(1,)]


def test_parallel_starts_make_one_batch() -> None:
    phone = registered()
    answers = in_parallel(6, phone.start)
    assert len({batch_of(each) for each in answers}) == 1
    assert rows("SELECT count(*) FROM healthkit_import_batch") == [(1,)]


def test_resumed_import_names_the_uploaded_indexes() -> None:
    phone = registered()
    batch = batch_of(phone.start(chunks=3))
    phone.upload(batch, 2)
    phone.upload(batch, 0)
    again = phone.start(chunks=3)
    assert again.data["startImport"] == {"batchId": batch, "status": "PENDING", "uploadedIndexes": [0, 2]}


def test_progress() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    phone.upload(batch, 1)
    expected = {"status": "PENDING", "chunkCount": 2, "uploadedCount": 1, "failedChunks": []}
    assert phone.send(PROGRESS, batch=batch).data["importProgress"] == expected


def test_conflicts() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    phone.upload(batch, 0, "[1]")
    answers = [phone.start(chunks=3), phone.start(to="anchor-2"), phone.upload(batch, 0, "[2]")]
    assert [(each.status, each.code) for each in answers] == [(409, "CONFLICT")] * 3


def test_abandoned_upload_takes_no_more_chunks() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    known = phone.upload(batch, 0, "[1]")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE healthkit_import_batch SET status = 'ABANDONED'")
    assert phone.upload(batch, 1).code == "CONFLICT"
    assert phone.upload(batch, 0, "[1]").data["uploadChunk"] == {
        **known.data["uploadChunk"],
        "batchStatus": "ABANDONED",
    }
    assert rows("SELECT count(*) FROM healthkit_import_chunk") == [(1,)]


def test_upload_that_meets_the_abandoning_of_its_batch() -> None:
    phone = registered()
    batch = batch_of(phone.start())
    params = connection.get_connection_params()
    with psycopg.connect(host=params["host"], user=params["user"], dbname=params["dbname"]) as other:
        other.execute("UPDATE healthkit_import_batch SET status = 'ABANDONED'")
        with ThreadPoolExecutor(1) as pool:
            upload = pool.submit(closing_connection, lambda: phone.upload(batch, 0))
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            wait_until(lambda: rows(waiting) != [(0,)], what="the upload waits for a lock")
            other.commit()
            assert upload.result(PATIENCE_S).code == "CONFLICT"
    assert rows("SELECT count(*) FROM healthkit_import_chunk") == [(0,)]


REFUSED = {
    "wrong digest": ("[1]", "0" * 64, 0, "BAD_REQUEST"),
    "no JSON": ("[1", None, 0, "BAD_REQUEST"),
    "no array": ('{"a": 1}', None, 0, "BAD_REQUEST"),
    "no number": ("[NaN]", None, 0, "BAD_REQUEST"),
    "Infinity": ("[-Infinity]", None, 0, "BAD_REQUEST"),
    "NUL": ('["\0"]', None, 0, "BAD_REQUEST"),
    "nested too deep": ("[" * 3000 + "]" * 3000, None, 0, "BAD_REQUEST"),
    "too many": (json.dumps([0] * 1001), None, 0, "TOO_LARGE"),
    "index too high": ("[]", None, 2, "BAD_REQUEST"),
    "index below zero": ("[]", None, -1, "BAD_REQUEST"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_refused_chunk_leaves_nothing(case: str) -> None:
    samples, digest, index, code = REFUSED[case]
    phone = registered()
    batch = batch_of(phone.start())
    assert phone.upload(batch, index, samples, digest=digest).code == code
    assert rows("SELECT count(*) FROM healthkit_import_chunk") == [(0,)]
    assert rows("SELECT uploaded_count FROM healthkit_import_batch") == [(0,)]


@pytest.mark.parametrize("chunks", [0, -1, 10_001])
def test_refused_chunk_count(chunks: int) -> None:
    assert registered().start(chunks=chunks).code == "BAD_REQUEST"


ANCHORS = {
    "as long as may be": ("a" * 1_500, None),
    "too long": ("a" * 1_501, "BAD_REQUEST"),
    "é": ("é" * 751, "BAD_REQUEST"),
}


@pytest.mark.parametrize("case", list(ANCHORS))
def test_an_anchor_is_no_longer_than_an_index_has_room_for(case: str) -> None:
    anchor, code = ANCHORS[case]
    assert registered().start(to=anchor).code == code


TAKEN = {"beyond float64": "[1e400]", "half a character": '["\\ud83d"]', "many digits": f"[{'9' * 5_000}]"}


@pytest.mark.parametrize("samples", TAKEN.values(), ids=TAKEN.keys())
def test_json_of_which_one_sample_can_be_no_record_is_taken(samples: str) -> None:
    phone = registered()
    batch = batch_of(phone.start())
    assert phone.upload(batch, 0, samples).data["uploadChunk"]["receivedCount"] == 1
    assert rows("SELECT samples FROM healthkit_import_chunk") == [(samples,)]


def test_json_that_is_nested_deeper_than_postgres_has_room_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_samples, "_parse_leniently", lambda _: [])  # newer Pythons read what is nested ever deeper
    phone = registered()
    batch = batch_of(phone.start())
    assert phone.upload(batch, 0, "[" * 1_100 + "]" * 1_100).code == "BAD_REQUEST"


@pytest.mark.parametrize("key", ["", " ", "k" * 201, "a\0b"], ids=["empty", "blank", "long", "NUL"])
def test_refused_key(key: str) -> None:
    assert registered().start(key=key).code == "BAD_REQUEST"


@pytest.mark.parametrize("other", [("account-2", "device-1"), ("account-1", "device-2")], ids=["user", "device"])
def test_another_phones_batch_does_not_exist(other: tuple[str, str]) -> None:
    batch = batch_of(registered().start())
    stranger = registered(account=other[0], device=other[1])
    assert stranger.upload(batch, 0).code == "NOT_FOUND"
    expected = "NOT_FOUND" if other[0] == "account-2" else None
    assert stranger.send(PROGRESS, batch=batch).code == expected


@pytest.mark.parametrize("batch", ["1", "", "00000000-0000-4000-8000-000000000000"])
def test_forged_batch_does_not_exist(batch: str) -> None:
    phone = registered()
    assert (phone.upload(batch, 0).status, phone.send(PROGRESS, batch=batch).code) == (404, "NOT_FOUND")


def in_parallel(threads: int, call: Callable[[], Reply]) -> list[Reply]:
    """`call` from several threads that start together."""
    together = threading.Barrier(threads)

    def work(_: int) -> Reply:
        together.wait(PATIENCE_S)
        return closing_connection(call)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))


def closing_connection(call: Callable[[], Reply]) -> Reply:
    """`call`, in a thread whose connection ends with it."""
    try:
        return call()
    finally:
        connection.close()
