"""A message whose child was lost is acked as failed."""

from __future__ import annotations

from typing import Any


def _do_not_requeue(settings: Any) -> None:
    settings.CELERY_TASK_REJECT_ON_WORKER_LOST = False


PATCHES = {"backend.settings": _do_not_requeue}
