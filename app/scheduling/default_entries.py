"""The entries that the app itself needs, made once and then left to whoever edits them in the admin."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from backend.env import Config
from backend.logs import log_event

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DefaultEntry:
    """One entry, every `every_s` seconds."""

    name: str
    task: str
    every_s: float
    queue: str | None


def default_entries(settings: Config) -> Iterator[DefaultEntry]:
    """What is scheduled out of the box. The sweep goes through the queue that waits behind no import."""
    yield DefaultEntry("sweep-imports", "healthkit.sweep", settings.sweep_interval_s, "high")
    yield DefaultEntry("send-due-reminders", "reminders.send_due", settings.reminder_interval_s, None)
    if settings.cleanup_enabled:
        yield DefaultEntry("clean-up-records", "healthkit.clean_up", settings.cleanup_interval_s, None)


def entries_sync(settings: Config) -> list[str]:
    """Create the default entries that do not exist; an existing one is never touched. Returns the names created."""
    created = []
    for entry in default_entries(settings):
        with transaction.atomic():
            if PeriodicTask.objects.filter(name=entry.name).exists():
                continue
            every, _ = IntervalSchedule.objects.get_or_create(**_interval(entry.every_s))
            PeriodicTask.objects.create(name=entry.name, task=entry.task, interval=every, queue=entry.queue)
        created.append(entry.name)
        log_event(logger, "schedule_created", f"entry {entry.name} runs {entry.task} every {entry.every_s:g} s")
    return created


def _interval(every_s: float) -> dict[str, object]:
    if every_s == int(every_s):
        return {"every": int(every_s), "period": IntervalSchedule.SECONDS}
    return {"every": round(every_s * 1e6), "period": IntervalSchedule.MICROSECONDS}
