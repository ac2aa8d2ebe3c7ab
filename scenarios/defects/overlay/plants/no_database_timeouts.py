"""Whoever waits for Postgres waits for ever: connecting, for an answer, and when a kept connection is asked."""

from __future__ import annotations

from typing import Any

NEVER_S = 3_600


def _wait_for_answers(base: Any) -> None:
    base.answer_bound_s = lambda: None
    base.HEALTH_CHECK_BOUND_S = None


def _wait_to_connect(settings: Any) -> None:
    # Left out, psycopg would put in a timeout of its own.
    settings.DATABASES["default"]["OPTIONS"]["connect_timeout"] = NEVER_S


PATCHES = {"backend.postgres.base": _wait_for_answers, "backend.settings": _wait_to_connect}
