"""Celery's own default."""

from __future__ import annotations

from typing import Any


def _ack_at_once(settings: Any) -> None:
    settings.CELERY_TASK_ACKS_LATE = False


PATCHES = {"backend.settings": _ack_at_once}
