"""/health/ answers 503 when Redis is away."""

from __future__ import annotations

from typing import Any


def _ask_redis(views: Any) -> None:
    ready = views.ready

    def and_redis(request: Any) -> Any:
        try:
            views.broker_read()
        except views.redis.RedisError:
            return views._answer(is_well=False)
        return ready(request)

    views.ready = and_redis


PATCHES = {"backend.health.views": _ask_redis}
