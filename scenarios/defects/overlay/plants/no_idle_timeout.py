"""Postgres lets a session be idle inside a transaction for as long as it likes: its default."""

from __future__ import annotations

from typing import Any


def _never_end_idle_transactions(migrate_stack: Any) -> None:
    settings_of = migrate_stack.role_settings

    def role_settings(settings: Any) -> dict[str, float]:
        return {**settings_of(settings), "idle_in_transaction_session_timeout": 0.0}

    migrate_stack.role_settings = role_settings


PATCHES = {"scheduling.management.commands.migrate_stack": _never_end_idle_transactions}
