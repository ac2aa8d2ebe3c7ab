"""GET /health/…: is the process there, can it serve, does the work move."""

import logging

import redis
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse

from backend.env import config
from backend.errors import json_response
from backend.health.broker import broker_problems, broker_read
from backend.health.problem import Problem, ProblemCode
from backend.health.rows import row_problems
from backend.logs import log_event
from backend.service import current_service

logger = logging.getLogger(__name__)


def live(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers at all."""
    return _answer(is_well=True)


def ready(request: HttpRequest) -> HttpResponse:
    """200 when the database answers. Redis does not count: its being away must not take every replica out."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        log_event(
            logger, "database_unavailable", "not ready", level=logging.WARNING, error=f"{type(error).__name__}: {error}"
        )
        return _answer(is_well=False)
    return _answer(is_well=True)


def imports(request: HttpRequest) -> HttpResponse:
    """200 when all accepted work moves, else 503 with what does not."""
    problems = [*_row_problems(), *_broker_problems()]
    return _answer(is_well=not problems, problems=[problem.as_json() for problem in problems])


def _row_problems() -> list[Problem]:
    try:
        return row_problems()
    except DatabaseError as error:
        return [Problem(code=ProblemCode.DATABASE_UNREACHABLE, detail=type(error).__name__)]


def _broker_problems() -> list[Problem]:
    try:
        return broker_problems(broker_read())
    except redis.RedisError as error:
        return [Problem(code=ProblemCode.BROKER_UNREACHABLE, detail=type(error).__name__)]


def _answer(*, is_well: bool, **more: object) -> HttpResponse:
    status = "ok" if is_well else "unavailable"
    body = {"status": status, "build": config().build_id, "service": current_service().value, **more}
    return json_response(body, 200 if is_well else 503)
