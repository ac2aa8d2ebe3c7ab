"""A claim of a delivery is over when its holder says so."""

from __future__ import annotations

from typing import Any

from . import swapped

OVER = "AND (delivery.claim_token IS NULL OR delivery.claim_expires_at <= clock_timestamp())"


def _keep(services: Any) -> None:
    services._CLAIM = swapped(services._CLAIM, OVER, "AND delivery.claim_token IS NULL")


PATCHES = {"reminders.services": _keep}
"""Whoever gets a message of a reminder that the dead have claimed leaves it alone."""
