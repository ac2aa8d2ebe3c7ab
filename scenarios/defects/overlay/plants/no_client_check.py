"""The app's role is left without `client_connection_check_interval`."""

from __future__ import annotations

from typing import Any


def _forget_one(migrate_stack: Any) -> None:
    settings_of = migrate_stack.role_settings

    def role_settings(settings: Any) -> dict[str, float]:
        return {
            name: value for name, value in settings_of(settings).items() if not name.startswith("client_connection")
        }

    migrate_stack.role_settings = role_settings


PATCHES = {"scheduling.management.commands.migrate_stack": _forget_one}
