"""The first connection to the broker is tried once."""

from __future__ import annotations

from typing import Any


def _try_once(settings: Any) -> None:
    settings.CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = False


PATCHES = {"backend.settings": _try_once}
