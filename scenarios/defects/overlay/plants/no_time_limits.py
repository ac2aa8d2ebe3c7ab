"""No task has a time limit, soft or hard: Celery's default, and what `time_limit=None` on a task amounts to."""

from __future__ import annotations

from typing import Any


def _take_limits_away(request: Any) -> None:
    make = request.create_request_cls

    def create_request_cls(base: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        task.soft_time_limit = task.time_limit = None
        return make(base, task, *args, **kwargs)

    request.create_request_cls = create_request_cls


PATCHES = {"celery.worker.request": _take_limits_away}
