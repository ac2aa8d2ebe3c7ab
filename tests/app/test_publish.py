"""Publishing: after the commit, bounded, and never a reason to fail."""

import json
import os
import threading
from unittest.mock import Mock

import pytest
import redis
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test import Client
from kombu import Connection

from backend import publish_counts as publish_counts_module
from backend.celery import app
from backend.clock import monotonic_s
from backend.publish import MAX_IN_FLIGHT, BoundedRunner, MessageUnsendable, PublishFailed, message_send, publish
from backend.publish_counts import publish_counts
from healthkit.counters import counter_add, counters_read
from tests.app.waiting import PATIENCE_S

TASK = "healthkit.import_batch"


def queue(name: str) -> list[dict[str, object]]:
    """Headers of the messages that wait."""
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        return [json.loads(each)["headers"] for each in client.lrange(name, 0, -1)]


@pytest.mark.usefixtures("stores")
def test_message_carries_build_time_and_ids() -> None:
    assert publish(TASK, ("b",), ids={"batch": "b"}) is True
    [headers] = queue("default")
    assert (headers["task"], headers["batch"], headers["build"]) == (TASK, "b", "dev")
    assert str(headers["published_at"]).endswith("+00:00")


@pytest.mark.usefixtures("stores")
def test_a_publish_asks_no_installed_package_for_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each publish has a thread of its own, and asking cost it several times what the message costs."""
    publish(TASK, ("b",))
    asked = Mock(return_value=())
    monkeypatch.setattr("celery.app.backends.load_extension_class_names", asked)
    assert publish(TASK, ("b",)) is True
    asked.assert_not_called()


@pytest.mark.usefixtures("stores")
def test_reminders_go_to_the_high_queue() -> None:
    publish("reminders.send_due")
    assert ([each["task"] for each in queue("high")], queue("default")) == (["reminders.send_due"], [])


@pytest.mark.usefixtures("stores")
def test_publishing_inside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="after the commit"), transaction.atomic():
        publish(TASK, ("b",))
    assert queue("default") == []


@pytest.mark.usefixtures("stores")
def test_failure_is_told_logged_and_counted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(app, "send_task", fail)
    assert publish(TASK, ("b",), ids={"batch": "b"}) is False
    [record] = [each for each in caplog.records if getattr(each, "event", "") == "publish_failed"]
    assert record.__dict__["ids"] | {"waited_s": 0} == {
        "task": TASK,
        "error": "OSError: no route",
        "waited_s": 0,
        "batch": "b",
    }
    assert counters_read()["publish_failures"] == 1


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize(
    ("argument", "options", "is_unsendable"),
    [
        ("b", {"queue": "hihg"}, True),
        (object(), {}, True),
        ("b", {"connection": Connection("redis://127.0.0.1:9/0")}, False),
    ],
    ids=["no such queue", "no JSON", "no broker"],
)
def test_a_message_that_no_broker_would_take_is_told_from_a_broker_that_is_away(
    argument: object, options: dict[str, object], is_unsendable: bool
) -> None:
    with pytest.raises(PublishFailed) as failed:
        message_send(TASK, (argument,), options=options)
    assert isinstance(failed.value, MessageUnsendable) is is_unsendable


@pytest.mark.usefixtures("stores")
def test_stuck_broker_is_waited_for_no_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(app, "send_task", lambda *_, **__: stuck.wait(2 * PATIENCE_S))
    started_s = monotonic_s()
    try:
        assert publish(TASK, ("b",), bound_s=0.2) is False
        assert monotonic_s() - started_s < PATIENCE_S
    finally:
        stuck.set()


def test_stuck_calls_do_not_pile_up() -> None:
    runner, stuck = BoundedRunner(2), threading.Event()
    try:
        for _ in range(2):
            with pytest.raises(PublishFailed, match="no answer"):
                runner.run(lambda: stuck.wait(60), bound_s=0.01)
        with pytest.raises(PublishFailed, match="already stuck"):
            runner.run(lambda: None, bound_s=60)
    finally:
        stuck.set()


def test_slots_are_given_back() -> None:
    runner = BoundedRunner(1)
    done: list[int] = []
    for _ in range(5):
        runner.run(lambda: done.append(1), bound_s=10)
    assert len(done) == 5


@pytest.mark.usefixtures("stores")
def test_a_thread_that_cannot_be_started_fails_that_publish_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that is out of threads, for longer than there are slots."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", refuse)
        assert [publish(TASK, ("b",)) for _ in range(MAX_IN_FLIGHT + 1)] == [False] * (MAX_IN_FLIGHT + 1)
    assert publish(TASK, ("b",)) is True


def test_fork_forgets_the_parents_calls() -> None:
    runner, stuck = BoundedRunner(1), threading.Event()
    os.register_at_fork(after_in_child=runner.reset)
    try:
        with pytest.raises(PublishFailed):
            runner.run(lambda: stuck.wait(60), bound_s=0.01)
        child = os.fork()
        if child == 0:
            _exit_with(runner)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stuck.set()


@pytest.mark.usefixtures("stores")
def test_counts_that_cannot_be_written_are_kept() -> None:
    counts = publish_counts()
    counts.reset()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE healthkit_counter RENAME TO gone")
        counts.failed()
        cursor.execute("ALTER TABLE gone RENAME TO healthkit_counter")
    counts.failed()
    assert counters_read()["publish_failures"] == 2


@pytest.mark.usefixtures("stores")
def test_counts_that_were_written_are_not_written_again_with_those_that_were_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(name: str, amount: int) -> None:
        if name.endswith(":b"):
            raise DatabaseError("gone")
        counter_add(name, amount)

    counts = publish_counts()
    counts.reset()
    counts.sent("a")
    counts.sent("b")
    with monkeypatch.context() as patched:
        patched.setattr(publish_counts_module, "counter_add", away)
        counts.flush()
    counts.flush()
    assert counters_read() == {"task_enqueued:a": 1, "task_enqueued:b": 1}


@pytest.mark.usefixtures("stores")
def test_asked_for_its_metrics_a_process_writes_down_what_it_has_counted() -> None:
    publish_counts().reset()
    publish_counts().sent("healthkit.import_batch")
    assert counters_read() == {}
    shown = Client().get("/metrics").content.decode()
    assert 'app_tasks_enqueued_total{task="healthkit.import_batch"} 1.0' in shown


def _exit_with(runner: BoundedRunner) -> None:
    """In the child: 0 when a slot was free, without pytest's own exit."""
    code = 1
    try:
        runner.run(lambda: None, bound_s=5)
        code = 0
    finally:
        os._exit(code)
