"""The fifth loss of a store is the chunk's end."""

from __future__ import annotations

from typing import Any

from . import swapped

BACKOFF = "least($6 * power(2, least(e.infra_attempts, 20)), $7)"


def _give_up(attempts: Any) -> None:
    attempts._END = swapped(attempts._END, BACKOFF, f"CASE WHEN e.infra_attempts < 5 THEN {BACKOFF} END")


PATCHES = {"healthkit.importing.attempts": _give_up}
