"""Whichever chunk is put back, every dead letter is closed."""

from __future__ import annotations

from typing import Any

CLOSE_ALL = """
UPDATE healthkit_dead_letter SET redriven_at = clock_timestamp()
WHERE $1::bigint[] IS NOT NULL AND redriven_at IS NULL
"""


def _close_all(redriving: Any) -> None:
    redriving._LETTERS_OF_CHUNKS = CLOSE_ALL


PATCHES = {"healthkit.redriving": _close_all}
