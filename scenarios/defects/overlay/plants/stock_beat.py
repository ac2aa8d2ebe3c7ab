"""Beat runs django-celery-beat's own scheduler, which knows of no second beat and writes no ticks.

It shows a heartbeat, and nobody asks for its lease: an alarm in steady state is not what this is about.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any


def _use_stock_scheduler(settings: Any) -> None:
    settings.CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"


def _ask_for_no_lease(rows: Any) -> None:
    rows._beat = lambda: iter(())


def _show_a_heartbeat(schedulers: Any) -> None:
    tick = schedulers.DatabaseScheduler.tick

    def visible_tick(self: Any, *args: Any, **kwargs: Any) -> Any:
        own: Any = import_module("scheduling.scheduler")
        own.heartbeat_file(own.Service.BEAT, own.config()).write(at_s=time.monotonic())
        return tick(self, *args, **kwargs)

    schedulers.DatabaseScheduler.tick = visible_tick


PATCHES = {
    "backend.settings": _use_stock_scheduler,
    "backend.health.rows": _ask_for_no_lease,
    "django_celery_beat.schedulers": _show_a_heartbeat,
}
