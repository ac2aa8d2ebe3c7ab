"""The base of every task: one that beat has sent runs once per tick."""

import logging
from typing import Any, Final

from celery import Task

from backend.logs import log_event

NOT_DONE: Final = "not done"
"""What a task returns that has ended without its work being done."""

logger = logging.getLogger(__name__)


class TickTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task whose message carries a tick (header `tick`) does nothing when the tick is done, and marks it at the end.

    A task that raises, or returns `NOT_DONE`, leaves its tick open: beat publishes it again after the visibility
    timeout, or reports it as missed when a later one is done.

    The mark is a statement of its own after the work, so a worker that dies in between repeats the work: tasks on a
    schedule are idempotent, the tick only keeps second deliveries cheap.
    """

    abstract = True
    Request = "backend.worker_request:LoudRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from scheduling.ticks import TickId, tick_done, tick_is_done  # models are not loaded when the app is made

        text = self.request.get("tick")
        if text is None:
            return self.run(*args, **kwargs)
        tick = TickId.parse(text)
        if tick_is_done(tick):
            return None
        result = self.run(*args, **kwargs)
        if result == NOT_DONE:
            log_event(
                logger,
                "tick_left_open",
                f"{self.name} has not done its work",
                level=logging.WARNING,
                tick=text,
                task=self.name,
            )
        else:
            tick_done(tick)
        return result
