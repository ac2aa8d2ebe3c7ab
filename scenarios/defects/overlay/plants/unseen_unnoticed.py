"""/health/imports looks at deliveries only."""

from __future__ import annotations

from typing import Any


def _ignore_unseen(rows: Any) -> None:
    rows._REMINDERS = rows._REMINDERS.partition("AS unsent)")[0] + "AS unsent)"


PATCHES = {"backend.health.rows": _ignore_unseen}
