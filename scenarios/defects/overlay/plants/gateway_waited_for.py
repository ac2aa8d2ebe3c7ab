"""The gateway may take as long as it likes."""

from __future__ import annotations

from typing import Any


def _wait(gateway: Any) -> None:
    post = gateway.reminder_post

    def reminder_post(message: Any, *, url: str, timeout_s: float) -> None:
        post(message, url=url, timeout_s=max(timeout_s, 86_400.0))

    gateway.reminder_post = reminder_post


PATCHES = {"reminders.gateway": _wait}
