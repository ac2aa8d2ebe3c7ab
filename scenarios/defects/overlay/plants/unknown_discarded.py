"""Celery's own answer to an unknown task: a line in the log, and the message is gone."""

from __future__ import annotations

from typing import Any


def _discard(worker_consumer: Any) -> None:
    consumer = worker_consumer.LoudConsumer
    consumer.on_unknown_task = lambda self, body, message, exc: message.reject_log_error(
        worker_consumer.logger, self.connection_errors
    )


PATCHES = {"backend.worker_consumer": _discard}
