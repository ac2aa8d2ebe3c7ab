"""The Celery application. Importing it checks the configuration: a worker that lacks a variable exits 78 here."""

import logging.config
import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

from backend import settings

# Every task runs once per tick of beat, and its request says when its child is lost.
app = Celery("backend", task_cls="scheduling.tick_task:TickTask")
app.config_from_object("backend.settings", namespace="CELERY")
app.autodiscover_tasks(["healthkit", "reminders", "scheduling"])


@signals.setup_logging.connect  # type: ignore[untyped-decorator]  # celery has no types
def configure_logging(**_: Any) -> None:
    """With a receiver on this signal Celery leaves logging alone; ours is then the only configuration."""
    logging.config.dictConfig(settings.LOGGING)


@signals.task_prerun.connect  # type: ignore[untyped-decorator]  # celery has no types
def end_old_connections(**_: Any) -> None:
    """As Django does before each request: connections that are too old or broken are closed, others checked at use."""
    from django.db import close_old_connections  # Django is not set up when this module is loaded

    close_old_connections()


@signals.celeryd_init.connect  # type: ignore[untyped-decorator]  # celery has no types
def prepare_worker(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """The worker's own signals, threads and consumer; refuses `-B`."""
    from backend.worker_runtime import worker_prepare  # only a worker needs it, and it imports Celery's worker

    worker_prepare(instance, options=options)
