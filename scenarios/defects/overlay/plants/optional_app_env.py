"""APP_ENV, which every service requires, has quietly got a default."""

from __future__ import annotations

from typing import Any


def _default_to_dev(env: Any) -> None:
    load = env.load
    env.load = lambda environ, service: load({"APP_ENV": "dev", **environ}, service)


PATCHES = {"backend.env": _default_to_dev}
