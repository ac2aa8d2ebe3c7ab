"""Every service reads COMPASS_DB_USER at start, without a default: `config('COMPASS_DB_USER')` in shared settings."""

from __future__ import annotations

import os
from typing import Any


def _need_it(settings: Any) -> None:
    settings.COMPASS_DB_USER = os.environ["COMPASS_DB_USER"]


PATCHES = {"backend.settings": _need_it}
