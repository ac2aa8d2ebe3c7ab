"""The sweep does not look at uploads that their phone left."""

from __future__ import annotations

from typing import Any


def _wait_for_ever(sweeping: Any) -> None:
    sweeping._uploads_abandon = lambda: 0


PATCHES = {"healthkit.sweeping": _wait_for_ever}
