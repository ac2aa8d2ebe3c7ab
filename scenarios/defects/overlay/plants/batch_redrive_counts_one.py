"""A batch takes back one failure, whatever is put back."""

from __future__ import annotations

from typing import Any

from . import swapped


def _count_one(redriving: Any) -> None:
    redriving._BATCH_BACK = swapped(redriving._BATCH_BACK, "failed_count - $2", "failed_count - least($2, 1)")


PATCHES = {"healthkit.redriving": _count_one}
