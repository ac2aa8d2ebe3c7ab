"""Publishing a task message: after the commit, bounded in time, never a reason for the caller to fail.

The truth is in Postgres, so a message that could not be sent costs a little time (the sweeper sends it again), and a
message that was sent although we were told otherwise is a no-op for its receiver. What must not happen is that a
caller waits: Redis may be frozen, its name may not resolve, and no set of socket timeouts adds up to a bound.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kombu.exceptions
import redis
from django.db import transaction

from backend.celery import app
from backend.clock import monotonic_s, now_utc
from backend.env import config
from backend.logs import log_event
from backend.publish_counts import publish_counts

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 8  # publishes of one process that may be stuck at once; further ones fail without waiting
# What the broker or the way to it did. Celery hands most of it on as kombu's OperationalError.
BROKER_ERRORS = (kombu.exceptions.OperationalError, redis.RedisError, OSError)


class PublishFailed(Exception):
    """The message was not sent, or nobody knows. Below it: `MessageUnsendable`, which no broker can help."""


class MessageUnsendable(PublishFailed):
    """The message itself cannot be sent (no such queue, arguments that do not serialise); others can."""


class BoundedRunner:
    """Runs a call in a thread and waits for it no longer than a bound.

    A call that outlives its bound goes on in its thread, which ends by the sockets' own timeouts; until then it takes
    one of `limit` slots, so that an outage cannot pile up threads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.reset()

    def reset(self) -> None:
        """Forget the calls in flight: after a fork their threads do not exist."""
        self._slots = threading.BoundedSemaphore(self._limit)

    def run(self, call: Callable[[], object], *, bound_s: float) -> None:
        """Raises: `PublishFailed` when `call` raised or did not end within `bound_s`, or no slot or thread was free."""
        slots = self._slots
        if not slots.acquire(blocking=False):
            raise PublishFailed(f"{self._limit} publishes are already stuck")
        failures: list[Exception] = []
        done = threading.Event()

        def work() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - top of a thread: the error becomes data
                failures.append(error)
            finally:
                slots.release()
                done.set()

        try:
            threading.Thread(target=work, name="publish", daemon=True).start()
        except RuntimeError as error:  # out of threads, or the interpreter is about to end
            slots.release()
            raise PublishFailed(str(error)) from error
        if not done.wait(bound_s):
            raise PublishFailed(f"no answer from the broker within {bound_s:g} s")
        if failures:
            kind = PublishFailed if isinstance(failures[0], BROKER_ERRORS) else MessageUnsendable
            raise kind(f"{type(failures[0]).__name__}: {failures[0]}") from failures[0]


_runner = BoundedRunner(MAX_IN_FLIGHT)
os.register_at_fork(after_in_child=_runner.reset)


def publish(
    task: str,
    args: Sequence[Any] = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    ids: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    bound_s: float | None = None,
) -> bool:
    """As `message_send`, for those to whom it makes no difference why: True when the broker has confirmed it.

    False means *not, or not known*: the message may still arrive.
    """
    try:
        message_send(task, args, kwargs=kwargs, ids=ids, options=options, bound_s=bound_s)
    except PublishFailed:
        return False
    return True


def message_send(
    task: str,
    args: Sequence[Any] = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    ids: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    bound_s: float | None = None,
) -> None:
    """Send a message for `task`, and wait for the broker to confirm it, for PUBLISH_BOUND_S at most.

    `ids` (batch, chunk, delivery, tick) become message headers, beside `build` and `published_at`, and go into the
    log. The queue follows from the routes, unless `options` (queue, priority …, as for `send_task`) say otherwise.
    Raises: `PublishFailed`, logged and counted; `RuntimeError` inside a transaction, where a message could overtake the
    row that it is about.
    """
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError(f"{task} published inside a transaction; publish after the commit")
    names = dict(ids or {})
    headers = {"build": config().build_id, "published_at": now_utc().isoformat(), **names}
    started_s = monotonic_s()
    try:
        _runner.run(
            lambda: app.send_task(
                task, args=tuple(args), kwargs=dict(kwargs or {}), headers=headers, **(options or {})
            ),
            bound_s=bound_s or config().publish_bound_s,
        )
    except PublishFailed as error:
        waited_s = round(monotonic_s() - started_s, 3)
        log_event(
            logger,
            "publish_failed",
            f"{task} was not published: {error}",
            level=logging.WARNING,
            task=task,
            error=str(error),
            exc_info=None,
            waited_s=waited_s,
            **names,
        )
        publish_counts().failed()
        raise
    publish_counts().sent(task)
