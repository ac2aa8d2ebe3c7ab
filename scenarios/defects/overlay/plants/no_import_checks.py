"""/health/imports looks neither at the broker nor at work that is overdue."""

from __future__ import annotations

from typing import Any


def _ignore_broker(broker: Any) -> None:
    broker.broker_problems = lambda state: []


def _ignore_rows(rows: Any) -> None:
    rows.row_problems = list


PATCHES = {"backend.health.broker": _ignore_broker, "backend.health.rows": _ignore_rows}
