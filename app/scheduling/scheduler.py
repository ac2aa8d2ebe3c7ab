"""The scheduler that `celery beat` runs: stock rows, a lease, and a row for every tick.

A loop of it: renew the lease (or stand by) · read the entries · insert the ticks that fell due, under the lease ·
publish what is claimed and not yet published · say how long to sleep. Neither Redis nor Postgres being away ends it.

Why not the stock scheduler's loop: it advances `last_run_at` before it publishes (a tick whose publish fails is gone,
without a word when Redis hangs), keeps schedules in memory that it later writes back, and has no idea of a second beat.
"""

import logging
import signal
from types import FrameType
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, InterfaceError, connection
from django_celery_beat.schedulers import DatabaseScheduler

from backend.clock import monotonic_s
from backend.env import config
from backend.heartbeat_file import heartbeat_file
from backend.logs import log_event
from backend.service import Service
from scheduling.leadership import Leadership
from scheduling.lease import Held, lease_acquire, lease_release

logger = logging.getLogger(__name__)

LOOP_MAX_S = 1.0  # a standby looks, and an edit is seen, at least so often
LOOP_MIN_S = 0.02


class LeasedScheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat has no types
    """See the module. Everything in it runs in beat's main thread, between two sleeps of Celery's beat service."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._token = uuid4()
        self._holder = config().service_name
        self._heartbeat = heartbeat_file(Service.BEAT, config())
        self._lease: Held | None = None
        self._leadership: Leadership | None = None
        self._renew_at_s = 0.0
        self._is_away = self._is_standby = False
        self._is_idle = self._is_stopping = False
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Read nothing yet (Postgres may be away); take the stop signals, which stock beat obeys inside the handler."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop_signal)

    def tick(self, *_: Any, **__: Any) -> float:
        """One loop; returns the seconds to sleep. Raises: `SystemExit` once told to stop."""
        self._is_idle = False
        self._leave_if_told()
        try:
            wait_s = self._loop()
            self._is_away = False
        except (DatabaseError, InterfaceError) as error:
            wait_s = self._on_database_away(error)
        self._heartbeat.write(at_s=monotonic_s())
        self._leave_if_told()
        self._is_idle = True
        return min(LOOP_MAX_S, config().beat_renew_s / 2, max(LOOP_MIN_S, wait_s))

    def should_sync(self) -> bool:
        """Never: nothing is kept in memory that belongs into the database."""
        return False

    def sync(self) -> None:
        """Nothing to write back, see `should_sync`."""

    def close(self) -> None:
        """Hand the lease over, at the end of the service."""
        if self._lease is None:
            return
        self._lease = None
        try:
            # A signal may have come in the middle of a statement; a fresh connection knows nothing of it.
            connection.close()
            lease_release(token=self._token)
        except (DatabaseError, InterfaceError) as error:
            log_event(
                logger,
                "database_unavailable",
                "the lease could not be handed over and runs out by itself",
                level=logging.WARNING,
                error=str(error),
            )

    @property
    def info(self) -> str:
        """A line for Celery's banner."""
        return "    . db -> leased"

    def _loop(self) -> float:
        if self._lease is not None and self._lease.is_over():
            self._stop_leading("its deadline passed before it could be renewed")
        if monotonic_s() >= self._renew_at_s or self._lease is None:
            self._renew()
        if self._lease is None or self._leadership is None:
            return LOOP_MAX_S
        wait_s = self._leadership.loop(lambda: self._lease_in_time())
        if wait_s is None:
            self._stop_leading("another beat holds it")
            return 0.0
        return min(wait_s, self._renew_at_s - monotonic_s())

    def _lease_in_time(self) -> Held | None:
        """The lease, renewed where that is due: asked before each publish, which can take long."""
        if monotonic_s() >= self._renew_at_s:
            self._renew()
        return None if self._lease is None or self._lease.is_over() else self._lease

    def _renew(self) -> None:
        started_s = monotonic_s()
        held = lease_acquire(holder=self._holder, token=self._token, lease_s=config().beat_lease_s)
        if held is None:
            if self._lease is not None:
                self._stop_leading("another beat took it over")
            elif not self._is_standby:
                self._is_standby = True
                log_event(logger, "beat_standby", "another beat leads; standing by")
            return
        self._renew_at_s = started_s + config().beat_renew_s
        if self._lease is None:
            self._is_standby = False
            self._leadership = Leadership(token=self._token, holder=self._holder)
            log_event(logger, "beat_leading", "leading", lease_s=config().beat_lease_s)
        self._lease = held

    def _stop_leading(self, why: str) -> None:
        self._lease = self._leadership = None
        self._is_standby = False
        log_event(logger, "beat_lease_lost", f"no longer leading: {why}", level=logging.WARNING)

    def _on_database_away(self, error: Exception) -> float:
        if not self._is_away:
            self._is_away = True
            log_event(
                logger,
                "database_unavailable",
                "beat cannot reach Postgres; it leads no longer than its lease and tries again",
                level=logging.ERROR,
                error=f"{type(error).__name__}: {error}",
            )
        if self._lease is not None and self._lease.is_over():
            self._stop_leading("Postgres is away")
        connection.close()
        return LOOP_MAX_S

    def _on_stop_signal(self, _: int, __: FrameType | None) -> None:
        """Only notes the signal while a loop runs: that may be in the middle of a statement."""
        self._is_stopping = True
        if self._is_idle:
            raise SystemExit(0)

    def _leave_if_told(self) -> None:
        if self._is_stopping:
            log_event(logger, "stop_requested", "beat stops and hands its lease over")
            raise SystemExit(0)
