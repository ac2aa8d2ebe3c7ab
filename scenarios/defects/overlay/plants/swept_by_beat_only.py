"""The workers' own thread no longer sweeps; beat's task does."""

from __future__ import annotations

import threading
from typing import Any


def _sweep_in_tasks_only(sweeping: Any) -> None:
    sweep = sweeping.imports_sweep

    def elsewhere() -> Any:
        return sweeping.Sweep(0, 0, 0, 0) if threading.current_thread().name == "sweep" else sweep()

    sweeping.imports_sweep = elsewhere


PATCHES = {"healthkit.sweeping": _sweep_in_tasks_only}
