"""The worker beside its tasks: it says what it lost, keeps what it cannot run, hears, and lives through outages."""

import base64
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from django.db import connection

from backend.clock import monotonic_s
from backend.env import config
from backend.heartbeat_file import HeartbeatFile, heartbeat_file
from backend.publish import publish
from backend.service import Service as AppService
from backend.worker_health import broker_answers, unhealthy_after_s, worker_problem
from healthkit.models import DeadLetter
from scheduling.tick_task import NOT_DONE
from tests.app.environment import QUICK
from tests.app.processes import Service, broker_pid, service, worker
from tests.app.waiting import wait_until

needs_stores = pytest.mark.usefixtures("stores")


def await_mark(marks: Path, text: str, *, by: Service, count: int = 1) -> None:
    wait_until(lambda: marks.read_text().count(text) >= count, what=f"mark {text!r}", log=by.log)


@needs_stores
def test_killed_child_is_loud_and_its_task_runs_again(tmp_path: Path, marks: Path) -> None:
    with worker(name="w", directory=tmp_path) as running:
        assert publish("tests.die_once", (str(tmp_path / "was here"),), ids={"batch": "b-1", "chunk": "7"})
        await_mark(marks, "start", by=running)
        os.kill(int(marks.read_text().split()[1]), signal.SIGKILL)
        running.await_event("worker_lost")
        await_mark(marks, "end", by=running)
        name = "task_finished:tests.die_once:child_lost"
        wait_until(lambda: counter(name) == 1, what="count", log=running.log)
    (lost,) = running.events("worker_lost")
    assert (lost["batch"], lost["chunk"], lost["task"]) == ("b-1", "7", "tests.die_once")
    assert marks.read_text().count("start") == 2


def message(*, task: str, body: bytes, content_type: str) -> str:
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": content_type,
            "content-encoding": "utf-8",
            "headers": {"task": task, "id": "id-1", "lang": "py"},
            "properties": {
                "delivery_tag": "tag-1",
                "body_encoding": "base64",
                "delivery_info": {"exchange": "", "routing_key": "default"},
            },
        }
    )


UNRUNNABLE = {
    "unregistered": (
        message(task="gone", body=b'[[1], {"a": 2}, {}]', content_type="application/json"),
        {"task": "gone", "args": [1], "kwargs": {"a": 2}, "queue": "default"},
    ),
    "undecodable": (message(task="tests.note", body=b"{oh no", content_type="application/json"), None),
    "of a forbidden type": (message(task="tests.note", body=b"x", content_type="application/x-python-serialize"), None),
    "no task message": (message(task="", body=b"1", content_type="application/json").replace('"task"', '"x"'), None),
}


@needs_stores
@pytest.mark.parametrize(("raw", "payload"), UNRUNNABLE.values(), ids=UNRUNNABLE.keys())
def test_what_cannot_run_becomes_a_dead_letter(
    tmp_path: Path, marks: Path, broker: redis.Redis, raw: str, payload: dict[str, object] | None
) -> None:
    with worker(name="w", directory=tmp_path) as running:
        broker.lpush("default", raw)
        running.await_event("dead_lettered")
        wait_until(lambda: broker.hlen("unacked") == 0, what="the message is gone", log=running.log)
        assert publish("tests.note", ("still working",))
        await_mark(marks, "still working", by=running)
    letter = DeadLetter.objects.get()
    assert payload is None or letter.payload == payload


@needs_stores
def test_presence_counts_and_heartbeat(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path) as running:
        assert publish("tests.note", ("once",))
        await_mark(marks, "once", by=running)
        keys = ("consumer:default:w", "consumer:high:w")
        wait_until(lambda: broker.exists(*keys) == len(keys), what="presence", log=running.log)
        assert all(0 < int(str(broker.pttl(key))) <= float(QUICK["OVERDUE_S"]) * 1000 for key in keys)
        wait_until(lambda: counter("task_finished:tests.note:succeeded") == 1, what="count", log=running.log)
        for outcome in ("retried", NOT_DONE):
            assert publish("tests.told", (outcome,))
        told = [f"task_finished:tests.told:{outcome}" for outcome in ("retried", NOT_DONE)]
        wait_until(lambda: [counter(name) for name in told] == [1, 1], what="outcomes", log=running.log)
        assert health("w", tmp_path) == 0


def counter(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM healthkit_counter WHERE name = %s", [name])
        row = cursor.fetchone()
    return 0 if row is None else int(row[0])


def health(name: str, directory: Path) -> int:
    with service("backend.worker_health", name=name, directory=directory, log_name=f"{name}-health") as check:
        return check.await_end()[0]


@needs_stores
def test_connections_cut_without_a_word_are_noticed(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    with worker(name="w", directory=tmp_path) as running:
        pid = broker_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            running.await_event("broker_lost")
            assert health("w", tmp_path) == 0
        finally:
            os.kill(pid, signal.SIGCONT)
        running.await_event("broker_regained")
        assert publish("tests.note", ("heard",))
        await_mark(marks, "heard", by=running)


@needs_stores
def test_acks_that_a_frozen_broker_did_not_take_block_nothing(tmp_path: Path, marks: Path, broker: redis.Redis) -> None:
    """Every slot of the prefetch is held by a message whose ack failed: with Celery alone, for good."""
    go = tmp_path / "go"
    with worker(name="w", directory=tmp_path) as running:
        slots = len(running.children())
        for _ in range(slots):
            assert publish("tests.hold", (str(go),))
        await_mark(marks, "start", by=running, count=slots)
        pid = broker_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            go.touch()
            await_mark(marks, "end", by=running, count=slots)
            wait_until(
                lambda: running.log().count("Couldn't ack") >= slots or bool(running.events("broker_lost")),
                what="failed acks, or the worker's noticing the first",
                log=running.log,
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        assert publish("tests.note", ("heard",))
        await_mark(marks, "heard", by=running)


@needs_stores
def test_a_message_that_a_full_broker_cannot_note_ends_no_worker(
    tmp_path: Path, marks: Path, broker: redis.Redis
) -> None:
    """It is popped, and its note as unacked is refused: with Celery's defaults the worker dies of that."""
    with worker(name="w", directory=tmp_path) as running:
        running.send(signal.SIGSTOP)
        try:
            # The stopped worker waits in BRPOP, so Redis hands it over at once.
            assert publish("tests.note", ("popped",))
            broker.config_set("maxmemory", "1")
        finally:
            running.send(signal.SIGCONT)
        try:
            running.await_event("broker_lost")
        finally:
            broker.config_set("maxmemory", "0")
        running.await_event("broker_regained")
        assert publish("tests.note", ("heard",))
        await_mark(marks, "heard", by=running)
        assert running.process.poll() is None


@needs_stores
def test_worker_refuses_to_be_a_scheduler_too(tmp_path: Path) -> None:
    with service("celery", "-A", "backend", "worker", "-B", name="w", directory=tmp_path) as refused:
        status, _ = refused.await_end()
    assert status == 78
    (line,) = refused.events("config_refused")
    assert "-B" in line["message"]


@contextmanager
def a_listener(answer: bytes | None) -> Iterator[str]:
    """A port that answers once with `answer`, or never."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # Maybe nobody asks; and who asks may hang up before it has read everything.
                accepted, _ = server.accept()
                with accepted:
                    accepted.recv(512)
                    if answer is not None:
                        accepted.sendall(answer)
                    accepted.recv(512)

        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


BOUND_S = 29.0  # of the times in `test_health`
HEALTH = {
    "fresh": (0.0, 0.0, b"+PONG\r\n", None),
    "main process hangs": (BOUND_S + 5, 0.0, b"+PONG\r\n", "hangs"),
    "deaf although the broker answers": (0.0, BOUND_S + 5, b"+PONG\r\n", "deaf"),
    "broker away": (BOUND_S + 5, BOUND_S + 5, None, None),
    "broker wants a password": (BOUND_S + 5, 0.0, b"-NOAUTH\r\n", "hangs"),
}


@pytest.mark.parametrize(("age_s", "silent_s", "answer", "expected"), HEALTH.values(), ids=HEALTH.keys())
def test_health(
    tmp_path: Path,
    age_s: float,
    silent_s: float,
    answer: bytes | None,
    expected: str | None,
) -> None:
    with a_listener(answer) as url:
        times = replace(
            config(),
            heartbeat_dir=str(tmp_path),
            redis_url=url,
            broker_read_timeout_s=4.0,
            broker_connect_timeout_s=4.0,
        )
        assert unhealthy_after_s(times) == BOUND_S
        at_s = monotonic_s() - age_s
        heartbeat_file(AppService.WORKER, times).write(at_s=at_s, heard_at_s=at_s - silent_s)
        problem = worker_problem(times)
    assert (problem is None) == (expected is None)
    assert expected is None or expected in str(problem)


def test_health_without_a_heartbeat(tmp_path: Path) -> None:
    assert "no heartbeat" in str(worker_problem(replace(config(), heartbeat_dir=str(tmp_path))))


def test_heartbeat_that_is_half_written_is_none(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_text('{"at_s": ')
    assert HeartbeatFile(path).read() is None


def test_a_closed_port_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert not broker_answers(f"redis://127.0.0.1:{port}/0", timeout_s=1.0)


def test_health_command_boots_neither_django_nor_celery(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(
        "import sys, backend.worker_health, backend.beat_health; print(sorted({'django', 'celery'} & {*sys.modules}))"
    )
    with service(
        "probe",
        name="w",
        directory=tmp_path,
        environ={"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd() + "/app"])},
    ) as probe:
        probe.await_end()
    assert probe.log().strip() == "[]"
