"""Reminders: each due one is sent once, by key, and never before it is due."""

import dataclasses
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from backend.env import config
from reminders import services
from reminders.models import Delivery, Reminder
from reminders.services import delivery_send, reminders_send_due, retry_wait_s
from tests.app.gateway_double import GatewayDouble, gateway_double
from tests.app.phones import registered
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


def test_run_is_bounded(published: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "DUE_PER_RUN", 3)
    for index in range(5):
        a_reminder(key=str(index))
    assert [reminders_send_due() for _ in range(3)] == [3, 2, 0]


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


@pytest.mark.parametrize("status", [500, 503, 429], ids=str)
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


def test_refused_request_fails_for_good(gateway: GatewayDouble, published: list[int]) -> None:
    gateway.statuses = [422]
    delivery = a_delivery()
    assert not delivery_send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.status, delivery.last_error) == ("failed", "the gateway answered 422")
    assert not delivery_send(delivery.pk)


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
