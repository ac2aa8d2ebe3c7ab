"""urllib's own way with redirects."""

from __future__ import annotations

from typing import Any
from urllib.request import HTTPRedirectHandler


def _follow(gateway: Any) -> None:
    gateway._NoRedirects = HTTPRedirectHandler


PATCHES = {"reminders.gateway": _follow}
