"""No 4xx means *try again*."""

from __future__ import annotations

from typing import Any


def _take_at_its_word(gateway: Any) -> None:
    gateway._NOT_ITS_FAULT = frozenset()


PATCHES = {"reminders.gateway": _take_at_its_word}
