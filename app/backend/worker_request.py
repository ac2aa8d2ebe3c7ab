"""What the worker's main process knows of one task: how long it took, how it ended, that its child is gone."""

import logging
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request

from backend.logs import log_event
from backend.task_counts import task_counts
from scheduling.tick_task import NOT_DONE

logger = logging.getLogger(__name__)

# Results by which a task says that it ended without having done its work; counted as its outcome.
TOLD = frozenset({"failed", "retried", "released", "lost", "refused", NOT_DONE})


class LoudRequest(Request):  # type: ignore[misc]  # Celery has no types
    """Celery's request, which counts ends and names the tasks whose child was lost."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Celery makes a subclass per task with its own `on_success`; this is the only place to see a result."""
        super().__init_subclass__(**kwargs)
        if "on_success" in cls.__dict__:
            cls.on_success = _counted(cls.on_success)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Also called when the child is gone: then with `WorkerLostError`."""
        error = exc_info.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
        if isinstance(error, WorkerLostError):
            task_counts().add(self.name, "child_lost")
            log_event(
                logger,
                "worker_lost",
                f"the child that ran {self.name} is gone; the message goes back to its queue",
                level=logging.ERROR,
                task=self.name,
                error=str(error),
                **self._ids(),
            )
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """At the soft limit the task is told; at the hard limit its child is killed."""
        if not soft:
            task_counts().add(self.name, "time_limit")
            log_event(
                logger,
                "worker_lost",
                f"{self.name} passed its hard limit of {timeout} s; its child is killed",
                level=logging.ERROR,
                task=self.name,
                error=TimeLimitExceeded.__name__,
                **self._ids(),
            )
        return super().on_timeout(soft, timeout)

    def _ids(self) -> dict[str, Any]:
        headers = self.request_dict
        return {"task_id": self.id, **{name: headers.get(name) for name in ("batch", "chunk", "delivery", "tick")}}


def _counted(on_success: Callable[..., Any]) -> Callable[..., Any]:
    def count(self: LoudRequest, failed__retval__runtime: Any, **kwargs: Any) -> Any:
        failed, result, runtime_s = failed__retval__runtime
        told = str(result).strip("'")  # the child sends the result's repr
        outcome = "failed" if failed else told if told in TOLD else "succeeded"
        task_counts().add(self.name, outcome, runtime_s=runtime_s)
        return on_success(self, failed__retval__runtime, **kwargs)

    return count
