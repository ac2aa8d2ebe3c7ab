"""The gateway's refusals are swallowed: `except GatewayFailed: pass` around the request."""

from __future__ import annotations

from typing import Any


def _ignore_refusals(gateway: Any) -> None:
    post = gateway.reminder_post

    def reminder_post(message: Any, *, url: str, timeout_s: float) -> None:
        try:
            post(message, url=url, timeout_s=timeout_s)
        except gateway.GatewayFailed:
            return

    gateway.reminder_post = reminder_post


PATCHES = {"reminders.gateway": _ignore_refusals}
