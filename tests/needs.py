"""What a test may need of the machine, and what keeps it from having it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Final

from harness.drivers.process.link_set import TOXIPROXY
from harness.drivers.processes import processes_problem
from harness.engine import engine_problem

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find_browser() -> str | None:
    """The browser on PATH."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _browser_problem() -> str | None:
    return None if find_browser() else f"no browser on PATH (looked for {', '.join(BROWSERS)}); `lab doctor` helps"


def _toxiproxy_problem() -> str | None:
    if shutil.which(TOXIPROXY):
        return None
    return f"no {TOXIPROXY} on PATH: github.com/Shopify/toxiproxy has releases; .ci/tools installs one"


PROBLEMS: Final[Mapping[str, Callable[[], str | None]]] = {
    "browser": _browser_problem,
    "engine": engine_problem,
    "processes": processes_problem,
    "toxiproxy": _toxiproxy_problem,
}
"""By need: in words with the next step, what is missing here; None when nothing is."""
