"""Reminders: each due one is sent once, by key, and never before it is due."""

import dataclasses
import itertools
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from backend.env import config
from backend.health import rows
from healthkit.models import DeadLetter, Redrive
from healthkit.models.redrive import RedriveKind
from healthkit.redriving import redrive
from reminders import services
from reminders.gateway import GatewayRefused
from reminders.models import Delivery, Reminder
from reminders.services import delivery_send, reminders_send_due, retry_wait_s
from tests.app.gateway_double import GatewayDouble, gateway_double
from tests.app.imports import in_another_session, sessions_waiting
from tests.app.phones import registered
from tests.app.plans import plan
from tests.app.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.usefixtures("stores")

PAST = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayDouble]:
    with gateway_double() as double:
        times = dataclasses.replace(config(), reminder_gateway_url=double.url)
        monkeypatch.setattr(services, "config", lambda: times)
        yield double


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of deliveries that were dispatched."""
    ids: list[int] = []

    def publish(task: str, args: tuple[int], **_: object) -> bool:
        assert task == "reminders.send_one"
        ids.append(args[0])
        return True

    monkeypatch.setattr(services, "publish", publish)
    return ids


def a_reminder(*, due_at: datetime = PAST, key: str = "k") -> Reminder:
    from accounts.models import User

    user, _ = User.objects.get_or_create(key_hash="h", defaults={"time_zone": "UTC"})
    return Reminder.objects.create(user=user, key=key, text="take it", due_at=due_at)


def a_delivery() -> Delivery:
    a_reminder()
    reminders_send_due()
    return Delivery.objects.get()


def test_due_reminder_becomes_one_delivery_with_its_key(published: list[int]) -> None:
    reminder = a_reminder()
    a_reminder(due_at=datetime.now(UTC) + timedelta(hours=1), key="later")
    assert reminders_send_due() == 1
    assert reminders_send_due() == 0
    delivery = Delivery.objects.get()
    assert published == [delivery.pk]
    assert delivery.key == f"{reminder.pk}:2026-01-01T08:00:00.000000+00:00"


CREATE = 'mutation($key: String!, $due: DateTime!) { createReminder(key: $key, text: "t", dueAt: $due) { reminderId } }'


@pytest.mark.parametrize(
    ("due", "code"),
    [
        ("2000-01-01T00:00:00Z", None),
        ("2099-12-31T23:59:59Z", None),
        ("1999-12-31T23:59:59Z", "BAD_REQUEST"),
        ("2100-01-01T00:00:00Z", "BAD_REQUEST"),
        # Postgres keeps these, and Python cannot read them back.
        ("0001-01-01T00:00:00+14:00", "BAD_REQUEST"),
        ("9999-12-31T23:59:59-14:00", "BAD_REQUEST"),
        ("2026-01-01T00:00:00", "BAD_REQUEST"),
    ],
)
def test_ordered_twice_it_is_one_reminder_of_our_century(due: str, code: str | None) -> None:
    phone = registered()
    answers = [phone.send(CREATE, key="k", due=due) for _ in range(2)]
    assert [each.code for each in answers] == [code, code]
    assert answers[0].data == answers[1].data
    assert Reminder.objects.count() == (code is None)


def test_lost_message_is_dispatched_again_after_a_while(published: list[int]) -> None:
    delivery = a_delivery()
    Delivery.objects.update(next_attempt_at=PAST)
    reminders_send_due()
    assert published == [delivery.pk, delivery.pk]


def test_run_has_as_many_rounds_as_it_takes(published: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "DUE_PER_ROUND", 3)
    for index in range(7):
        a_reminder(key=str(index))
    assert [reminders_send_due() for _ in range(2)] == [7, 0]
    assert sorted(published) == sorted(Delivery.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(("publishes", "sent"), [(3, [3, 2]), (1, [1, 1])], ids=["a round", "within a round"])
def test_run_is_bounded_in_time(
    publishes: int, sent: list[int], published: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "DUE_PER_ROUND", 3)
    clock = itertools.count(step=config().reminder_interval_s / publishes)
    monkeypatch.setattr(services, "monotonic_s", lambda: next(clock))
    for index in range(5):
        a_reminder(key=str(index))
    assert [reminders_send_due() for _ in range(2)] == sent


def test_who_has_waited_longest_goes_first(published: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "DUE_PER_ROUND", 1)
    clock = itertools.count(step=config().reminder_interval_s)
    monkeypatch.setattr(services, "monotonic_s", lambda: next(clock))
    again = a_delivery()
    Delivery.objects.update(next_attempt_at=PAST + timedelta(hours=2))
    a_reminder(due_at=PAST + timedelta(hours=1), key="new")
    published.clear()
    for _ in range(2):
        reminders_send_due()
    assert published == [Delivery.objects.exclude(pk=again.pk).get().pk, again.pk]


QUERIES = {
    "due reminders": (services._MATERIALISE, "reminder_undelivered"),
    "deliveries whose turn it is": (services._DISPATCH, "delivery_pending"),
    "overdue reminders": (rows._REMINDERS, "reminder_undelivered"),
}


@pytest.mark.parametrize("query", list(QUERIES))
def test_what_was_sent_is_not_read(query: str) -> None:
    sql, index = QUERIES[query]
    found = plan(sql, {"limit": 1, "again_s": 1.0, "overdue": 1.0})
    assert re.search(rf"Scan (using|on) {index}\b.*?Index Cond: \((r\.)?(due_at|next_attempt_at) <", found), found


def test_migration_knows_what_has_a_delivery(published: list[int]) -> None:
    old = a_delivery()
    new = a_reminder(key="new")
    try:
        call_command("migrate", "reminders", "0001", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE reminders_delivery SET next_attempt_at = NULL")
    finally:
        call_command("migrate", "reminders", verbosity=0)
    assert dict(Reminder.objects.values_list("pk", "has_delivery")) == {old.reminder_id: True, new.pk: False}
    assert Delivery.objects.get().next_attempt_at == PAST


def test_migration_waits_for_the_running_version_and_not_in_a_circle(published: list[int]) -> None:
    """The version before locks a delivery, then its reminder."""
    delivery = a_delivery()
    call_command("migrate", "reminders", "0001", verbosity=0)
    try:
        with psycopg.connect(os.environ["DATABASE_URL"]) as before:
            before.execute("UPDATE reminders_delivery SET attempts = 1 WHERE id = %s", (delivery.pk,))
            migrating = in_another_session(lambda: call_command("migrate", "reminders", verbosity=0))
            sessions_waiting(1)
            before.execute("UPDATE reminders_reminder SET text = 'other'")
        migrating.result()
    finally:
        call_command("migrate", "reminders", verbosity=0)
    assert Delivery.objects.get().attempts == 1


def test_delivery_that_the_version_before_has_made_is_not_made_again(published: list[int]) -> None:
    a_delivery()
    Reminder.objects.update(has_delivery=False)
    assert reminders_send_due() == 0
    assert Delivery.objects.count() == 1
    assert Reminder.objects.get().has_delivery


def test_sent_once_with_the_key_as_idempotency_key(gateway: GatewayDouble, published: list[int]) -> None:
    delivery = a_delivery()
    assert delivery_send(delivery.pk)
    assert not delivery_send(delivery.pk)
    body = {"key": delivery.key, "reminder_id": delivery.reminder_id, "due_at": PAST.isoformat(), "text": "take it"}
    assert gateway.requests == [(delivery.key, body)]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("sent", 1)


def test_two_workers_at_once_send_once(gateway: GatewayDouble, published: list[int]) -> None:
    delivery = a_delivery()
    gateway.barrier = threading.Barrier(2)
    results: list[bool] = []

    def send() -> None:
        results.append(delivery_send(delivery.pk))
        connection.close()

    first = threading.Thread(target=send)
    first.start()
    wait_until(lambda: bool(gateway.requests), what="the first request")
    assert not delivery_send(delivery.pk)  # while the first one's request is in flight
    gateway.barrier.wait(PATIENCE_S)
    first.join(PATIENCE_S)
    assert results == [True]
    assert len(gateway.requests) == 1


def test_claim_of_a_dead_worker_runs_out(gateway: GatewayDouble, published: list[int]) -> None:
    delivery = a_delivery()
    Delivery.objects.update(claim_token="0" * 32, claim_expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert not delivery_send(delivery.pk)
    Delivery.objects.update(claim_expires_at=PAST)
    assert delivery_send(delivery.pk)


@pytest.mark.parametrize("status", [500, 503, 429, 599, 301, 302, 303, 307, 304, 401, 403, 404, 405, 407], ids=str)
def test_gateway_in_trouble_is_tried_again_with_the_same_key(
    gateway: GatewayDouble, published: list[int], status: int
) -> None:
    gateway.statuses = [status, 200]
    delivery = a_delivery()
    assert not delivery_send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.claim_token, delivery.last_error) == (
        "pending",
        None,
        f"the gateway answered {status}",
    )
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at > datetime.now(UTC)
    assert delivery_send(delivery.pk)
    assert [key for key, _ in gateway.requests] == [delivery.key] * 2
    assert gateway.pages_read == 0


def test_refused_request_fails_for_good(gateway: GatewayDouble, published: list[int]) -> None:
    gateway.statuses = [422]
    delivery = a_delivery()
    assert not delivery_send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error) == ("failed", "the gateway answered 422")
    assert not delivery_send(delivery.pk)


def test_refused_request_is_a_dead_letter_whose_redrive_sends_it(
    gateway: GatewayDouble, published: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    gateway.statuses = [422, 422, 200]
    delivery = a_delivery()
    delivery_send(delivery.pk)
    letter = DeadLetter.objects.get()
    assert (letter.task_name, letter.reason, letter.redriven_at) == (
        "reminders.send_one",
        "the gateway answered 422",
        None,
    )
    [line] = [each.__dict__["ids"] for each in caplog.records if getattr(each, "event", "") == "dead_lettered"]
    assert (line["task_id"], line["delivery"], line["dead_letter"]) == (letter.message_id, delivery.pk, letter.pk)

    assert [redriven(letter), redriven(letter)] == [1, 0]
    assert reminders_send_due() == 1
    assert not delivery_send(delivery.pk)  # refused once more: a second letter
    assert redriven(DeadLetter.objects.get(redriven_at=None)) == 1
    assert delivery_send(delivery.pk)
    assert not DeadLetter.objects.filter(redriven_at=None).exists()
    assert list(Redrive.objects.order_by("id").values_list("redriven_count", flat=True)) == [1, 0, 1]


def test_redrive_of_an_old_letter_deals_with_the_one_that_is_open(gateway: GatewayDouble, published: list[int]) -> None:
    gateway.statuses = [422]
    delivery = a_delivery()
    delivery_send(delivery.pk)
    first = DeadLetter.objects.get()
    redriven(first)
    delivery_send(delivery.pk)
    assert redriven(first) == 1
    assert not DeadLetter.objects.filter(redriven_at=None).exists()


def test_redirect_to_what_is_no_address_is_tried_again(gateway: GatewayDouble, published: list[int]) -> None:
    gateway.statuses = [302]
    gateway.elsewhere = "http://[broken"
    delivery = a_delivery()
    assert not delivery_send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("pending", 1)
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at > datetime.now(UTC)


def test_refusal_that_comes_after_the_claim_was_lost_changes_nothing(
    gateway: GatewayDouble, published: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = a_delivery()

    def refuse(*_: object, **__: object) -> None:
        Delivery.objects.update(claim_token="0" * 32)
        raise GatewayRefused

    monkeypatch.setattr(services, "reminder_post", refuse)
    assert not delivery_send(delivery.pk)
    assert Delivery.objects.get().status == "pending"
    assert not DeadLetter.objects.exists()


def redriven(letter: DeadLetter) -> int:
    return redrive(kind=RedriveKind.DEAD_LETTER, target=str(letter.pk), actor="ann")


def test_gateway_that_is_not_there_is_tried_again(published: list[int]) -> None:
    delivery = a_delivery()  # the tests' own environment names a port that nobody listens on
    assert not delivery_send(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.status == "pending"
    assert "refused" in delivery.last_error


def test_never_sent_before_it_is_due(gateway: GatewayDouble, published: list[int]) -> None:
    delivery = a_delivery()
    Delivery.objects.update(due_at=datetime.now(UTC) + timedelta(hours=1))
    assert not delivery_send(delivery.pk)
    assert gateway.requests == []


def test_told_to_stop_in_mid_request_releases_the_claim(
    gateway: GatewayDouble, published: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = a_delivery()

    def stop(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(services, "reminder_post", stop)
        with pytest.raises(SystemExit):
            delivery_send(delivery.pk)
    assert delivery_send(delivery.pk)


def test_waits_double_up_to_a_cap() -> None:
    waits = [retry_wait_s(attempts) for attempts in range(1, 12)]
    assert waits[:3] == [30.0, 60.0, 120.0]
    assert max(waits) == 600.0
