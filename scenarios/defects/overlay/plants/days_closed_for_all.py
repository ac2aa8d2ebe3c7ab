"""Whose records go is forgotten when their days are closed."""

from __future__ import annotations

from typing import Any

from . import swapped


def _close_all(retention: Any) -> None:
    retention._CLEAN = swapped(retention._CLEAN, "WHERE a.user_id = $1 AND a.type_id", "WHERE a.type_id")


PATCHES = {"healthkit.retention": _close_all}
