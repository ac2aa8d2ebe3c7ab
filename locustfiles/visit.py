"""A visit: what the conductor hands to a user that it has just let in."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass

from harness.load.booth import Booth
from harness.load.meter import LATE_START
from harness.load.timetable import Arrival


@dataclass(frozen=True, slots=True)
class Visit:
    """Who has arrived where."""

    booth: Booth
    arrival: Arrival

    def play(self, life: Callable[[Booth, Arrival], None]) -> None:
        """Live this life once; how late it began is measured, and a crash of the lab's own becomes data."""
        self.booth.meter(*LATE_START, took_s=self.booth.came(self.arrival))
        try:
            life(self.booth, self.arrival)
        except Exception:  # noqa: BLE001  # the visitor's top: the error becomes data of the run
            self.booth.failed(f"{self.arrival}:\n{traceback.format_exc()}")
        finally:
            self.booth.left()
