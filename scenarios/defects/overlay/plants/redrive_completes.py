"""Whatever is re-driven is PROCESSING again."""

from __future__ import annotations

from typing import Any

from . import swapped


def _reopen(redriving: Any) -> None:
    ended = "CASE WHEN status = 'ABANDONED' THEN status ELSE 'PROCESSING' END"
    redriving._BATCH_BACK = swapped(redriving._BATCH_BACK, ended, "'PROCESSING'")


PATCHES = {"healthkit.redriving": _reopen}
