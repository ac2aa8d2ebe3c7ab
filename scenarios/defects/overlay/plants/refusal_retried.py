"""Every answer but a 2xx means *try again*."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


def _hope(gateway: Any) -> None:
    gateway._NOT_ITS_FAULT = frozenset(HTTPStatus)


PATCHES = {"reminders.gateway": _hope}
