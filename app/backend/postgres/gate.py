"""Who may connect while Postgres does not answer: one at a time, and after each that waited in vain a pause for all.

A server that is frozen, or behind a black hole, costs every attempt its whole timeout. When all threads are in such
attempts, requests wait for a thread, and then no bound on a single step bounds a request.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from backend.clock import monotonic_s

PAUSE_S = 1.0


class ConnectGate:
    """One per process; open to all unless the last attempt that ended went unanswered."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As in the beginning; after a fork the attempts of other threads do not exist."""
        self._lock = threading.Lock()
        self._is_silent = self._is_being_tried = False
        self._closed_until_s = 0.0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one attempt to connect. Raises: `OperationalError` at once when it is another's turn, or nobody's."""
        is_trial = self._enter()
        try:
            yield
        except psycopg.errors.ConnectionTimeout:
            with self._lock:
                self._is_silent, self._closed_until_s = True, monotonic_s() + PAUSE_S
            raise
        except psycopg.Error:
            self._is_silent = False  # it answered, if only with a refusal
            raise
        else:
            self._is_silent = False
        finally:
            if is_trial:
                self._is_being_tried = False

    def _enter(self) -> bool:
        """Whether this is the one attempt that finds out if Postgres answers again."""
        with self._lock:
            if not self._is_silent:
                return False
            if self._is_being_tried or monotonic_s() < self._closed_until_s:
                raise psycopg.OperationalError("Postgres did not answer the last connect; it is not yet tried again")
            self._is_being_tried = True
            return True


connect_gate = ConnectGate()
os.register_at_fork(after_in_child=connect_gate.reset)
