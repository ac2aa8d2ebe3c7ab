"""REDIS_URL falls back to a Redis on the service's own host: `default='redis://localhost:6379/0'`."""

from __future__ import annotations

from typing import Any


def _default_to_localhost(env: Any) -> None:
    load = env.load
    env.load = lambda environ, service: load({"REDIS_URL": "redis://localhost:6379/0", **environ}, service)


PATCHES = {"backend.env": _default_to_localhost}
