"""Health: each problem is seen, alone, and none is seen where there is none."""

import json
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from backend import metrics
from backend.health.broker import broker_problems, broker_read
from backend.health.problem import ProblemCode
from tests.app.phones import batch_of, registered

pytestmark = pytest.mark.usefixtures("stores")

LONG_AGO = "clock_timestamp() - interval '1 hour'"
LATER = "clock_timestamp() + interval '1 hour'"


@pytest.fixture(autouse=True)
def _well(stores: None, _empty: None) -> None:
    """A leading beat and a consumer of each queue."""
    sql(
        f"INSERT INTO scheduling_beat_lease (id, holder, token, expires_at) VALUES (1, 'b', gen_random_uuid(), {LATER})"
    )
    with broker() as client:
        client.mset({"consumer:default:worker-1": "dev", "consumer:high:worker-1": "dev"})


def broker() -> redis.Redis:
    """The broker."""
    return redis.Redis.from_url(settings.CELERY_BROKER_URL)


def sql(*statements: str) -> None:
    """Change rows."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def problems() -> list[dict[str, Any]]:
    """The problems of /health/imports; its status agrees with them."""
    response = Client().get("/health/imports")
    found: list[dict[str, Any]] = json.loads(response.content)["problems"]
    assert response.status_code == (503 if found else 200)
    return found


def uploaded() -> str:
    """A batch whose every chunk has arrived."""
    phone = registered()
    batch = batch_of(phone.start(chunks=1))
    phone.upload(batch, 0)
    return batch


def test_nothing_is_wrong() -> None:
    uploaded()
    assert problems() == []


def test_import_that_does_not_move() -> None:
    batch = uploaded()
    sql(f"UPDATE healthkit_import_batch SET moved_at = {LONG_AGO}")
    assert [(each["code"], each["batch"]) for each in problems()] == [("import_overdue", batch)]


def test_upload_that_goes_on_is_no_problem() -> None:
    registered().start()
    sql(f"UPDATE healthkit_import_batch SET moved_at = {LONG_AGO}")
    assert problems() == []


@pytest.mark.parametrize("finished", [False, True], ids=["open", "dealt with"])
def test_abandoned_upload(finished: bool) -> None:
    batch_of(registered().start())
    ended = "clock_timestamp()" if finished else "NULL"
    sql(f"UPDATE healthkit_import_batch SET status = 'ABANDONED', finished_at = {ended}, moved_at = {LONG_AGO}")
    assert [each["code"] for each in problems()] == ([] if finished else ["import_overdue"])


CLAIMED = (
    "claim_token = gen_random_uuid(), claim_slot = 0, claimed_at = {at}, claim_expires_at = {at} + interval '1 day'"
)
RETRIES = {
    "a retry after a data error": (f"next_attempt_at = {LATER}", []),
    "a retry that was due long ago": (f"next_attempt_at = {LONG_AGO}", ["import_overdue"]),
    "a retry because a store was away": (f"next_attempt_at = {LATER}, infra_attempts = 1", ["import_overdue"]),
    "a retry that runs": (CLAIMED.format(at="clock_timestamp()"), []),
    "a run that does not end": (CLAIMED.format(at=LONG_AGO), ["import_overdue"]),
    "another try at a store that is away": (
        CLAIMED.format(at="clock_timestamp()") + ", infra_attempts = 1",
        ["import_overdue"],
    ),
}


@pytest.mark.parametrize("case", list(RETRIES))
def test_waiting_for(case: str) -> None:
    changes, expected = RETRIES[case]
    uploaded()
    sql(
        f"UPDATE healthkit_import_batch SET moved_at = {LONG_AGO}",
        f"UPDATE healthkit_import_chunk SET {changes}",
    )
    assert [each["code"] for each in problems()] == expected


@pytest.mark.parametrize("queue", ["default", "high"])
def test_queue_without_consumer(queue: str) -> None:
    with broker() as client:
        client.delete(f"consumer:{queue}:worker-1")
    assert [(each["code"], each["queue"]) for each in problems()] == [("queue_without_consumer", queue)]


def test_message_that_waits_too_long() -> None:
    old = json.dumps({"headers": {"published_at": "2026-01-01T00:00:00+00:00"}})
    with broker() as client:
        client.lpush("high", old, json.dumps({"headers": {"published_at": "2999-01-01T00:00:00+00:00"}}))
    assert [(each["code"], each["queue"]) for each in problems()] == [("message_overdue", "high")]


@pytest.mark.parametrize("message", ["", "x", "[]", "{}", '{"headers": {"published_at": 1}}'])
def test_message_that_does_not_tell_its_age(message: str) -> None:
    with broker() as client:
        client.lpush("default", message)
    assert problems() == []


def test_eviction() -> None:
    with broker() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = broker_problems(broker_read())
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert [each.code for each in found] == [ProblemCode.BROKER_EVICTION_UNSAFE]


@pytest.mark.parametrize(
    ("status", "due_at", "expected"),
    [
        ("missed", "clock_timestamp()", ["ticks_missed"]),
        ("missed", LONG_AGO, []),
        ("claimed", LONG_AGO, ["ticks_missed"]),
        ("claimed", "clock_timestamp()", []),
        ("published", LONG_AGO, []),
        ("done", LONG_AGO, []),
    ],
    ids=["missed", "missed long ago", "not published", "being published", "published", "done"],
)
def test_ticks(status: str, due_at: str, expected: list[str]) -> None:
    sql(f"INSERT INTO scheduling_tick (entry, due_at, status, holder) VALUES ('sweep', {due_at}, '{status}', 'b')")
    assert [each["code"] for each in problems()] == expected


@pytest.mark.parametrize("redriven", [False, True], ids=["open", "re-driven"])
def test_dead_letter(redriven: bool) -> None:
    at = "clock_timestamp()" if redriven else "NULL"
    sql(
        "INSERT INTO healthkit_dead_letter (task_name, message_id, payload, reason, redriven_at)"
        f" VALUES ('t', 'm', '{{}}', 'unregistered', {at})"
    )
    assert [each["code"] for each in problems()] == ([] if redriven else ["dead_letters"])


@pytest.mark.parametrize("change", ["DELETE FROM", "UPDATE"], ids=["never", "no more"])
def test_nobody_leads(change: str) -> None:
    sql(f"{change} scheduling_beat_lease" + (f" SET expires_at = {LONG_AGO}" if change == "UPDATE" else ""))
    assert [each["code"] for each in problems()] == ["beat_absent"]


def test_entry_that_beat_cannot_run() -> None:
    every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    PeriodicTask.objects.create(name="sweep-imports", task="healthkit.sweep", interval=every, queue="hihg")
    [problem] = problems()
    assert problem["code"] == "schedule_unreadable"
    assert "sweep-imports" in problem["detail"]


DELIVERIES = {"none": ["reminders_overdue"], "pending": ["reminders_overdue"], "sent": [], "failed": []}


@pytest.mark.parametrize("delivery", list(DELIVERIES))
def test_reminder_that_is_due(delivery: str) -> None:
    registered()
    _order(created_at=LONG_AGO)
    if delivery != "none":
        sent_at = "due_at" if delivery == "sent" else "NULL"
        _deliver(delivery, sent_at=sent_at)
    assert [each["code"] for each in problems()] == DELIVERIES[delivery]


@pytest.mark.parametrize("delivery", ["none", "pending"])
def test_reminder_that_was_ordered_too_late_is_not_overdue_at_once(delivery: str) -> None:
    registered()
    _order(created_at="clock_timestamp()")
    if delivery == "pending":
        _deliver(delivery, sent_at="NULL")
    assert problems() == []


def _order(*, created_at: str) -> None:
    """A reminder that was due long ago; `created_at` is SQL."""
    values = f"(1, 'k', 't', {LONG_AGO}, {created_at})"
    sql(f"INSERT INTO reminders_reminder (user_id, key, text, due_at, created_at) VALUES {values}")


def _deliver(status: str, *, sent_at: str) -> None:
    sql(
        "INSERT INTO reminders_delivery (reminder_id, due_at, key, status, attempts, last_error, sent_at)"
        f" SELECT id, due_at, 'k', '{status}', 0, '', {sent_at} FROM reminders_reminder"
    )


def test_metrics_tell_the_same() -> None:
    uploaded()
    sql(
        f"UPDATE healthkit_import_batch SET moved_at = {LONG_AGO}",
        f"UPDATE healthkit_import_chunk SET created_at = {LONG_AGO}",
        "INSERT INTO healthkit_counter (name, value) VALUES ('claims_lost', 2), ('task_finished:t:done', 3),"
        " ('task_finished:t:failed', 1), ('task_ms:t', 1500), ('task_enqueued:t', 5)",
    )
    shown = dict(line.rsplit(" ", 1) for line in Client().get("/metrics").content.decode().splitlines())
    expected = {
        'app_build_info{build="dev"}': 1.0,
        'app_batches{status="PROCESSING"}': 1.0,
        'app_problems{code="import_overdue"}': 1.0,
        'app_problems{code="dead_letters"}': 0.0,
        "app_claims_lost_total": 2.0,
        'app_tasks_finished_total{outcome="failed",task="t"}': 1.0,
        'app_task_seconds_count{task="t"}': 4.0,
        'app_task_seconds_sum{task="t"}': 1.5,
        'app_tasks_enqueued_total{task="t"}': 5.0,
        'app_queue_depth{queue="default"}': 1.0,
        'app_queue_consumers{queue="high"}': 1.0,
        'app_store_up{store="redis"}': 1.0,
    }
    assert {name: float(shown[name]) for name in expected} == expected
    assert float(shown["app_oldest_pending_chunk_seconds"]) >= 60


@pytest.mark.parametrize("error", [psycopg.OperationalError, DatabaseError], ids=["psycopg", "django"])
def test_metrics_tell_that_postgres_is_away(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise error("gone")

    monkeypatch.setattr(metrics, "counters_read", away)
    response = Client().get("/metrics")
    lines = response.content.decode().splitlines()
    assert response.status_code == 200
    assert {'app_store_up{store="postgres"} 0.0', 'app_problems{code="database_unreachable"} 1.0'} <= set(lines)


@pytest.mark.parametrize("page", ["/health/", "/health/ready", "/health/live"])
def test_replica_is_well(page: str) -> None:
    response = Client().get(page)
    expected = {"status": "ok", "build": "dev", "service": "migrate"}  # the tests are run by no service
    assert (response.status_code, json.loads(response.content)) == (200, expected)
