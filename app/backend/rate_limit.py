"""Requests of one device (or registrations of one address …) per minute, counted in the shared cache.

The limit protects the service, it must not become what breaks it. So the cache is given a fraction of a second; when it
is away or frozen the process counts for itself for a while and asks nobody. Then every process allows the full limit:
more lenient than the real one, still a bound.
"""

import threading
from collections import Counter
from typing import cast

import redis
from django.conf import settings

from backend.clock import monotonic_s, wall_s

WINDOW_S = 60
ANSWER_BOUND_S = 0.25  # of the cache, for connecting and for answering
PAUSE_S = 5.0  # how long the cache is not asked after it failed
MAX_LOCAL_KEYS = 10_000


class LocalWindow:
    """Counts of the current window in this process; bounded, threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = 0
        self._counts: Counter[str] = Counter()

    def count(self, key: str, *, window: int) -> int:
        """How many times `key` was counted in `window`, this time included."""
        with self._lock:
            if window != self._window or len(self._counts) >= MAX_LOCAL_KEYS:
                self._window = window
                self._counts.clear()
            self._counts[key] += 1
            return self._counts[key]


class RateLimiter:
    """A fixed window of a minute per key; `limit_per_minute` unless a request is counted under another one."""

    def __init__(self, *, cache_url: str, limit_per_minute: int) -> None:
        self._limit = limit_per_minute
        self._local = LocalWindow()
        self._paused_until_s = 0.0
        # No CLIENT SETINFO on connect: each round trip there would be another wait.
        self._client = redis.Redis.from_url(
            cache_url,
            socket_connect_timeout=ANSWER_BOUND_S,
            socket_timeout=ANSWER_BOUND_S,
            lib_name=None,
            lib_version=None,
        )
        self._client.set_retry(redis.retry.Retry(redis.backoff.NoBackoff(), 0))

    def refused_for_s(self, key: str, *, limit_per_minute: int | None = None) -> float | None:
        """None when the request may pass, else the seconds until the window ends. Waits `ANSWER_BOUND_S` at most
        for each step of connecting and asking, and at most once in `PAUSE_S` when the cache is away."""
        now_s = wall_s()
        window = int(now_s // WINDOW_S)
        if self._count(key, window=window) <= (limit_per_minute or self._limit):
            return None
        return WINDOW_S - now_s % WINDOW_S

    def _count(self, key: str, *, window: int) -> int:
        if monotonic_s() < self._paused_until_s:
            return self._local.count(key, window=window)
        name = f"{settings.KEY_PREFIX}:rate:{key}:{window}"
        try:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.incr(name)
            pipeline.expire(name, 2 * WINDOW_S)
            return cast(int, pipeline.execute()[0])
        except redis.RedisError:
            # Counted on below, and visible: /health/imports says that Redis is away.
            self._paused_until_s = monotonic_s() + PAUSE_S
            return self._local.count(key, window=window)
