"""Signs of life of the worker's main process, kept by its event loop and written to its heartbeat file.

Everything but `presence` is called from the main thread.
"""

from functools import cache

from backend.clock import monotonic_s
from backend.env import config
from backend.heartbeat_file import HeartbeatFile, heartbeat_file
from backend.service import Service


class WorkerPulse:
    """When the loop last turned, when the broker last answered its poll, whether the broker is there at all."""

    def __init__(self, file: HeartbeatFile) -> None:
        self._file = file
        self._beat_at_s = self._heard_at_s = monotonic_s()
        self._is_lost = False

    def heard(self) -> None:
        """The broker answered the poll, or the loop had no reason to poll."""
        self._heard_at_s = monotonic_s()

    def silent_s(self) -> float:
        """How long the poll has gone unanswered."""
        return monotonic_s() - self._heard_at_s

    def beat(self) -> None:
        """The loop turned, or the wait for the broker did."""
        self._beat_at_s = monotonic_s()
        self._file.write(at_s=self._beat_at_s, heard_at_s=self._heard_at_s)

    @property
    def is_broker_lost(self) -> bool:
        """Whether the broker is away, as far as the main thread knows."""
        return self._is_lost

    def lost_broker(self) -> bool:
        """Note that the broker is away; True when that is news."""
        is_news, self._is_lost = not self._is_lost, True
        return is_news

    def found_broker(self) -> bool:
        """Note that the broker is there; True when it had been away."""
        was_lost, self._is_lost = self._is_lost, False
        return was_lost

    def is_consuming(self, *, within_s: float) -> bool:
        """Whether loop and broker have both shown life within `within_s`; safe from other threads."""
        oldest_s = min(self._beat_at_s, self._heard_at_s)
        return not self._is_lost and monotonic_s() - oldest_s < within_s


@cache
def worker_pulse() -> WorkerPulse:
    """The one of this process."""
    return WorkerPulse(heartbeat_file(Service.WORKER, config()))
