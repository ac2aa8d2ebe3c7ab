"""A delivery that is pending is anybody's."""

from __future__ import annotations

from typing import Any

from . import swapped

HELD = "AND (delivery.claim_token IS NULL OR delivery.claim_expires_at <= clock_timestamp())"


def _share(services: Any) -> None:
    services._CLAIM = swapped(services._CLAIM, HELD, "")


PATCHES = {"reminders.services": _share}
