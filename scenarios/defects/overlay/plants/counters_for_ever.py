"""Each counter is made to stay."""

from __future__ import annotations

from typing import Any


def _keep(rate_limit: Any) -> None:
    count = rate_limit.RateLimiter._count

    def _count(self: Any, key: str, *, window: int) -> int:
        counted: int = count(self, key, window=window)
        self._client.persist(f"{rate_limit.settings.KEY_PREFIX}:rate:{key}:{window}")
        return counted

    rate_limit.RateLimiter._count = _count


PATCHES = {"backend.rate_limit": _keep}
