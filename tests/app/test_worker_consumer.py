"""The worker is fit from its loop's first turn on; a health check need not wait for the first of its regular beats."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import loops
from kombu.asynchronous.hub import Hub

from backend import worker_consumer
from backend.heartbeat_file import HeartbeatFile
from backend.worker_consumer import LoudConsumer
from backend.worker_pulse import WorkerPulse

NEVER_S = 3600.0


def test_the_first_turn_of_the_loop_is_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = HeartbeatFile(tmp_path / "heartbeat")
    pulse = WorkerPulse(file)
    hub = Hub()

    def one_turn(*_: Any) -> None:
        assert file.read() is None, "it was said before the loop turned"
        next(hub.create_loop())

    monkeypatch.setattr(worker_consumer, "worker_pulse", lambda: pulse)
    monkeypatch.setattr(worker_consumer, "BEAT_EVERY_S", NEVER_S)
    monkeypatch.setattr(loops, "asynloop", one_turn)
    channel = SimpleNamespace(
        handlers={"BRPOP": lambda: None},
        active_queues={"default"},
        qos=SimpleNamespace(ack=None, reject=None, can_consume=lambda: True),
    )
    stop_signal = SimpleNamespace(loop_begins=lambda _hub: None, loop_ended=lambda: None)
    consumer = LoudConsumer.__new__(LoudConsumer)
    consumer.controller = SimpleNamespace(stop_signal=stop_signal)
    connection = SimpleNamespace(connection_errors=(OSError,))
    consumer.loop(None, connection, SimpleNamespace(channel=channel), None, hub)
    assert file.read() is not None
