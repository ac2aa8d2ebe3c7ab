"""Messages are acked when a child accepts them, not when the work is done."""

from __future__ import annotations

from typing import Any


def _ack_early(settings: Any) -> None:
    settings.CELERY_TASK_ACKS_LATE = False
    settings.CELERY_TASK_REJECT_ON_WORKER_LOST = False


PATCHES = {"backend.settings": _ack_early}
