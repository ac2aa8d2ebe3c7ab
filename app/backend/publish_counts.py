"""How many messages were sent and how many were not, kept in Postgres so that every replica's /metrics tells the same.

A failure is written at once: it is rare, and somebody looks for it. Successes are gathered in the process and written
once a second, with the next message, or when this process is asked for its metrics; a process that ends takes the
last few along. Only metrics rest on them.
"""

import os
import threading
from collections import Counter
from functools import cache

from django.db import Error as DatabaseError
from psycopg import Error as PsycopgError

from backend.clock import monotonic_s
from healthkit.counters import counter_add

FLUSH_INTERVAL_S = 1.0
PUBLISH_FAILURES = "publish_failures"
TASK_ENQUEUED = "task_enqueued"  # followed by :<task>


class PublishCounts:
    """Counts of this process; threads may share it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start at zero: after a fork the parent writes its own."""
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._flushed_at_s = monotonic_s()

    def sent(self, task: str) -> None:
        """Count a message; now and then write what has been gathered."""
        with self._lock:
            self._counts[f"{TASK_ENQUEUED}:{task}"] += 1
            is_due = monotonic_s() - self._flushed_at_s >= FLUSH_INTERVAL_S
        if is_due:
            self.flush()

    def failed(self) -> None:
        """Count a failure and write it."""
        with self._lock:
            self._counts[PUBLISH_FAILURES] += 1
        self.flush()

    def flush(self) -> None:
        """Write the counts; what cannot be written is kept for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._flushed_at_s = monotonic_s()
        try:
            for name in sorted(counts):
                counter_add(name, counts[name])
                counts[name] = 0
        except (DatabaseError, PsycopgError):
            # The store itself being away is what the health checks tell; here it only delays a count.
            with self._lock:
                self._counts.update(counts)


@cache
def publish_counts() -> PublishCounts:
    """The one of this process."""
    counts = PublishCounts()
    os.register_at_fork(after_in_child=counts.reset)
    return counts
