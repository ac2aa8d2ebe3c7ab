"""The socket has no timeout, as gunicorn hands it over."""

from __future__ import annotations

from typing import Any


def _wait(middleware: Any) -> None:
    middleware.BODY_SILENCE_S = None


PATCHES = {"backend.middleware": _wait}
