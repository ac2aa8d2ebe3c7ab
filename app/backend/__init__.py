"""The reference app. `backend:app` is its Celery application, imported when somebody asks for it.

Lazily, because the health-check commands (`python -m backend.worker_health`) import this package every few seconds and
must not pay for Celery and Django.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.celery import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from backend.celery import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
