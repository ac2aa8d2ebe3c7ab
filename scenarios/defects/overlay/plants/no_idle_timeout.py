"""Postgres lets a transaction stay open, and its client silent, for as long as they like: its defaults."""

from __future__ import annotations

from typing import Any


def _never_end_idle_transactions(migrate_stack: Any) -> None:
    settings_of = migrate_stack.role_settings

    def role_settings(settings: Any) -> dict[str, float]:
        without = {"idle_in_transaction_session_timeout": 0.0, "transaction_timeout": 0.0}
        return {**settings_of(settings), **without}

    migrate_stack.role_settings = role_settings


PATCHES = {"scheduling.management.commands.migrate_stack": _never_end_idle_transactions}
