"""The base of every task: one that beat has sent runs once per tick."""

from typing import Any

from celery import Task


class TickTask(Task):  # type: ignore[misc]  # Celery has no types
    """A task whose message carries a tick (header `tick`) does nothing when the tick is done, and marks it at the end.

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
        tick_done(tick)
        return result
