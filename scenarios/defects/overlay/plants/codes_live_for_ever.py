"""The cache is told to keep codes without a limit."""

from __future__ import annotations

from typing import Any


class _Keeping:
    """The cache, which forgets nothing by itself."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def set(self, key: str, value: object, timeout: float | None = None) -> None:
        self._cache.set(key, value, timeout=None)


def _keep(verification: Any) -> None:
    verification.cache = _Keeping(verification.cache)


PATCHES = {"accounts.verification": _keep}
