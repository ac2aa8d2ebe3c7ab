"""A worker whose main process ends as soon as it knows that it lost a pool child."""

from __future__ import annotations

import os
from typing import Any


def _end_with_child(worker_request: Any) -> None:
    on_failure = worker_request.LoudRequest.on_failure

    def run(self: Any, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        answer = on_failure(self, exc_info, *args, **kwargs)
        error = exc_info.exception
        if isinstance(getattr(error, "exc", error), worker_request.WorkerLostError):
            os._exit(1)
        return answer

    worker_request.LoudRequest.on_failure = run


PATCHES = {"backend.worker_request": _end_with_child}
