"""Locust's shape: one conductor a process until all are over. How phones arrive is the timetable's (harness/load)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from locust import LoadTestShape, User, events, runners
from locust.env import Environment
from locust.html import get_html_report
from locust.runners import WorkerRunner

from harness.load.order import ORDER, read_order
from harness.load.timetable import phones_in, timetable
from locustfiles.conductor import OVER, Conductor

PREPARE_S_PER_SAMPLE = 0.001
PREPARE_S = 60.0
SILENT_S = 60
"""So long may a worker be silent, since it says nothing while it makes a person's plans; Locust's own limit is 3 s."""


class UntilAllAreOver(LoadTestShape):
    """Ends the run when each process has said that it is over, or when that took too long."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust leaves it untyped
        self._order = read_order(os.environ.get(ORDER))
        phones = phones_in(timetable(self._order))
        prepare_s = PREPARE_S + PREPARE_S_PER_SAMPLE * phones * self._order.samples_per_phone
        self._limit_s = prepare_s + self._order.limit_s
        self._over = 0
        events.init.add_listener(self._listen)

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """One conductor a process, or the end."""
        took_s: float = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust leaves it untyped
        if self._over >= self._order.processes or took_s > self._limit_s:
            return None
        return self._order.processes, self._order.processes, [Conductor]

    def _listen(self, environment: Environment, **_: Any) -> None:
        runner = environment.runner
        if runner is not None and not isinstance(runner, WorkerRunner):
            runner.register_message(OVER, self._hear)
            runners.HEARTBEAT_LIVENESS = SILENT_S
            environment.events.quitting.add_listener(write_page)

    def _hear(self, **_: Any) -> None:
        self._over += 1


def write_page(environment: Environment, **_: Any) -> None:
    """Locust's HTML report; Locust itself writes none when it is told to end while its web page is open."""
    options = environment.parsed_options
    if options is not None and options.html_file:
        Path(options.html_file).write_text(get_html_report(environment, show_download_link=False), encoding="utf-8")
