"""Logs: one JSON object a line on stdout, flushed at once, so that the last line of a killed process is there.

Every line carries service, replica and build; an event carries ids besides, never a health value.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON line; a traceback goes into `trace`."""

    def __init__(self, *, service: str, replica: str, build: str) -> None:
        super().__init__()
        self._fixed = {"service": service, "replica": replica, "build": build}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            **self._fixed,
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
            "logger": record.name,
            "pid": record.process,
        }
        line.update(getattr(record, "ids", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line.setdefault("error", f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"[:500])
            line["trace"] = "".join(traceback.format_exception(*record.exc_info))[-4000:]
        return json.dumps(line, default=str)


def log_event(
    logger: logging.Logger,
    event: str,
    message: str,
    *,
    level: int = logging.INFO,
    exc_info: BaseException | None = None,
    **ids: object,
) -> None:
    """Log `event` with its ids (batch, chunk, tick …) and small facts such as counts; health values never."""
    extra = {"event": event, "ids": {name: value for name, value in ids.items() if value is not None}}
    logger.log(level, message, extra=extra, exc_info=exc_info)


def logging_dict(*, service: str, replica: str, build: str, level: str) -> dict[str, Any]:
    """The dictConfig of every process: Django's, Celery's and gunicorn's loggers end in the same handler."""
    fixed = {"service": service, "replica": replica, "build": build}
    handled = {"handlers": ["stdout"], "level": level, "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter, **fixed}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            "gunicorn.error": handled,
            "gunicorn.access": handled,
            "celery": {"level": level},
            "django": handled,
            # One line per 4xx is what the access log is for; 5xx come as events of their own.
            "django.request": {**handled, "level": "CRITICAL"},
            "django.security.DisallowedHost": {**handled, "level": "CRITICAL"},
        },
    }
