"""How many tasks ended how, and how long they took, as this worker's main process saw it since the last flush.

Workers answer no HTTP, so the counts go to Postgres now and then, and the API's /metrics shows them from there. A
worker that is killed takes the counts of one sweep interval with it; nothing but metrics rests on them.
"""

import threading
from collections import Counter
from functools import cache


class TaskCounts:
    """Counters by name: `task_finished:<task>:<outcome>` and `task_ms:<task>`. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, task: str, outcome: str, *, runtime_s: float | None = None) -> None:
        """Count one end; `runtime_s` where the child could still tell."""
        with self._lock:
            self._counts[f"task_finished:{task}:{outcome}"] += 1
            if runtime_s is not None:
                self._counts[f"task_ms:{task}"] += round(runtime_s * 1000)

    def put_back(self, counts: Counter[str]) -> None:
        """Add what could not be flushed."""
        with self._lock:
            self._counts.update(counts)

    def take(self) -> Counter[str]:
        """The counts so far, which start again at zero."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts


@cache
def task_counts() -> TaskCounts:
    """The one of this process."""
    return TaskCounts()
