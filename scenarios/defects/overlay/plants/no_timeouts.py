"""Nothing that talks to Redis has a timeout: broker, cache, health checks; and publishing waits for its call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NAMES = ("socket_timeout", "socket_connect_timeout", "health_check_interval")


def _wait_for_ever(settings: Any) -> None:
    for name in NAMES:
        settings.CELERY_BROKER_TRANSPORT_OPTIONS.pop(name, None)
        settings.CACHES["default"]["OPTIONS"].pop(name.upper(), None)
    settings.CACHES["default"]["OPTIONS"]["CONNECTION_POOL_KWARGS"].pop("health_check_interval", None)


def _publish_unbounded(publish: Any) -> None:
    def run(self: Any, call: Callable[[], object], *, bound_s: float) -> None:
        try:
            call()
        except Exception as error:  # the app's own contract: any failure is PublishFailed
            raise publish.PublishFailed(str(error)) from error

    publish.BoundedRunner.run = run


def _never_deaf(consumer: Any) -> None:
    consumer.deaf_after_s = lambda: 86_400.0


PATCHES = {
    "backend.settings": _wait_for_ever,
    "backend.publish": _publish_unbounded,
    "backend.worker_consumer": _never_deaf,
}
