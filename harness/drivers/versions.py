"""Which of the app's packages a run's versions name, and what they are called there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERSIONED: Final = ("django", "celery", "kombu", "billiard", "redis", "django-celery-beat", "psycopg", "gunicorn")


def named(versions: Mapping[str, str], *, service: str | None) -> dict[str, str]:
    """By name, of a service with pins of its own as `celery (worker)`; the client library is called redis-py."""
    suffix = "" if service is None else f" ({service})"
    return {("redis-py" if name == "redis" else name) + suffix: version for name, version in versions.items()}
