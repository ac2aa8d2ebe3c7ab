"""A batch that FAILED is over, whatever is put back into it."""

from __future__ import annotations

from typing import Any

from . import swapped


def _forget(redriving: Any) -> None:
    redriving._BATCH_BACK = swapped(
        redriving._BATCH_BACK, "'COMPLETED', 'FAILED', 'ABANDONED'", "'COMPLETED', 'ABANDONED'"
    )


PATCHES = {"healthkit.redriving": _forget}
