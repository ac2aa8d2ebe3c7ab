"""What runs in the worker's main process beside Celery: the sweep, the worker's presence, the flush of its counts.

The sweep finds committed work that does not move and dispatches it; it must need neither beat nor broker, so it is a
thread here. Threads and forks: pool children are forked from this process whenever one has died, so a fork waits for
the sweep in progress (bounded), and a sweep holds no connection when it is over.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

import redis
from celery import bootsteps, signals
from django.db import connections

from backend.env import EXIT_CONFIG, config
from backend.health.broker import CONSUMER_KEY
from backend.logs import log_event
from backend.stop_signal import StopSignalStep
from backend.task_counts import task_counts
from backend.worker_consumer import deaf_after_s
from backend.worker_pulse import worker_pulse

logger = logging.getLogger(__name__)

FORK_WAIT_S = 2.0  # the longest that a fork waits for a sweep
PRESENCE_LIVES = 3  # presences that may be lost before the key runs out


class Background:
    """Two daemon threads; `stop` does not wait for them, what they do is idempotent and ends with the process."""

    def __init__(self, *, queues: tuple[str, ...]) -> None:
        self._queues = queues
        self._stopping = threading.Event()
        self._between_sweeps = threading.Lock()
        self._is_fork_locked = False

    def start(self) -> None:
        """Runs in the main process, after the pool was forked."""
        os.register_at_fork(
            before=self._before_fork,
            after_in_parent=self._after_fork_in_parent,
            after_in_child=self._after_fork_in_child,
        )
        for name, work, every_s in (
            ("sweep", self._sweep, config().sweep_interval_s),
            ("presence", self._show_presence, self._presence_every_s()),
        ):
            threading.Thread(target=self._repeat, args=(work, every_s), name=name, daemon=True).start()

    def stop(self) -> None:
        """Start nothing further."""
        self._stopping.set()

    def _repeat(self, work: Callable[[], None], every_s: float) -> None:
        is_failing = False
        while not self._stopping.wait(every_s):
            try:
                work()
                is_failing = False
            except Exception as error:  # noqa: BLE001 - top of a thread: it must go on, and say what happened
                if not is_failing:
                    _report(error, every_s=every_s)
                is_failing = True

    def _sweep(self) -> None:
        from healthkit.counters import counter_add
        from healthkit.sweeping import imports_sweep

        with self._between_sweeps:
            counts = task_counts().take()
            try:
                imports_sweep()
                for name in sorted(counts):
                    counter_add(name, counts[name])
                    counts[name] = 0
            finally:
                task_counts().put_back(counts)
                connections.close_all()

    def _presence_every_s(self) -> float:
        return config().overdue_s / (PRESENCE_LIVES + 1)

    def _show_presence(self) -> None:
        """One key per queue on the broker itself, so that a worker on another broker is not taken for a consumer."""
        if not worker_pulse().is_consuming(within_s=deaf_after_s()):
            return
        times = config()
        client = redis.Redis.from_url(
            times.redis_url,
            socket_connect_timeout=times.broker_connect_timeout_s,
            socket_timeout=times.broker_read_timeout_s,
        )
        with client:
            for queue in self._queues:
                key = CONSUMER_KEY.format(queue=queue, replica=times.service_name)
                client.set(key, times.build_id, px=round(times.overdue_s * 1000))

    def _before_fork(self) -> None:
        self._is_fork_locked = self._between_sweeps.acquire(timeout=FORK_WAIT_S)

    def _after_fork_in_parent(self) -> None:
        if self._is_fork_locked:
            self._between_sweeps.release()

    def _after_fork_in_child(self) -> None:
        self._between_sweeps = threading.Lock()


def _report(error: Exception, *, every_s: float) -> None:
    from healthkit.database import INFRASTRUCTURE_ERRORS  # models are not loaded when this module is

    match error:
        case redis.RedisError():
            event = "presence_failed"
        case _ if isinstance(error, INFRASTRUCTURE_ERRORS):
            event = "database_unavailable"
        case _:
            event = "background_failed"
    log_event(
        logger,
        event,
        f"{threading.current_thread().name} failed and is tried again every {every_s:g} s",
        level=logging.ERROR,
        exc_info=error if event == "background_failed" else None,
        error=f"{type(error).__name__}: {error}",
    )


class BackgroundStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Starts the threads once the pool exists; they do not wait for the broker."""

    requires = ("celery.worker.components:Pool",)

    def create(self, parent: Any) -> Background:
        """Which queues it consumes is settled by now."""
        return Background(queues=tuple(parent.app.amqp.queues.consume_from))

    def start(self, parent: Any) -> None:
        """Runs in the main thread."""
        self.obj.start()

    def stop(self, parent: Any) -> None:
        """See `Background.stop`."""
        self.obj.stop()

    terminate = stop


def _child_leaves(*, exitcode: int, **_: Any) -> None:
    """A pool child has nothing left to do: go, instead of sleeping the second that billiard waits to be killed.

    Its results are in the pipe, which outlives it. The parent, being in the middle of a stop, does not read the message
    that would make it kill the child, so that second would be lost to every stop.
    """
    os._exit(exitcode)


def worker_prepare(worker: Any, *, options: dict[str, Any]) -> None:
    """Make Celery's worker ours; called before it is built.

    Raises: `SystemExit` (78) when told to run a scheduler too: every worker would tick, and a worker is scaled.
    """
    if options.get("beat"):
        log_event(
            logger,
            "config_refused",
            "service worker refuses to start: -B would start a scheduler in every worker; run `celery beat`",
            level=logging.CRITICAL,
            problems=[{"variable": "-B", "problem": "a worker starts no scheduler"}],
        )
        raise SystemExit(EXIT_CONFIG)
    signals.worker_process_shutdown.connect(_child_leaves)
    worker.hostname = f"worker@{config().service_name}"
    worker.app.conf.worker_consumer = "backend.worker_consumer:LoudConsumer"
    worker.app.steps["worker"].update({StopSignalStep, BackgroundStep})
