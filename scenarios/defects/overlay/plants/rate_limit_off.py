"""Requests of devices pass uncounted."""

from __future__ import annotations

from typing import Any


def _let_all_pass(context: Any) -> None:
    count = context.Context.limit

    def limit(self: Any, key: str, *, limit_per_minute: int | None = None) -> None:
        if not key.startswith("device:"):
            count(self, key, limit_per_minute=limit_per_minute)

    context.Context.limit = limit


PATCHES = {"backend.context": _let_all_pass}
