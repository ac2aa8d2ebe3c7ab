"""The sweep looks at when an upload was begun."""

from __future__ import annotations

from typing import Any

from . import swapped


def _go_by_age(sweeping: Any) -> None:
    sweeping._ABANDON = swapped(sweeping._ABANDON, "moved_at <= clock_timestamp()", "created_at <= clock_timestamp()")


PATCHES = {"healthkit.sweeping": _go_by_age}
