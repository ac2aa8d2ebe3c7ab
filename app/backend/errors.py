"""Errors that a client is told.

    ApiError            one answer: a code of the closed list, a message, maybe Retry-After
      (raised by services and by the endpoint; everything else a resolver raises is mapped by `api_error_of`)

docs/errors.md is the same list for clients; a test holds the two together.
"""

import json
import math
from enum import Enum
from http import HTTPStatus

import django.db
import psycopg
import redis.exceptions
from django.http import HttpResponse
from django_redis.exceptions import ConnectionInterrupted

RETRY_AFTER_S = 2.0  # what a client waits when a store is away


class Code(Enum):
    """`extensions.code` of an error, with its HTTP status; the list is closed."""

    BAD_REQUEST = HTTPStatus.BAD_REQUEST
    UNAUTHENTICATED = HTTPStatus.UNAUTHORIZED
    NOT_FOUND = HTTPStatus.NOT_FOUND
    CONFLICT = HTTPStatus.CONFLICT
    TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    RATE_LIMITED = HTTPStatus.TOO_MANY_REQUESTS
    UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE
    INTERNAL = HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def is_prewrite(self) -> bool:
        """Whether the request surely had no effect. Not so for a 5xx: a COMMIT may have been sent, its answer lost."""
        return self not in (Code.UNAVAILABLE, Code.INTERNAL)


class ApiError(Exception):
    """What the client is told; the message holds no health value and no secret."""

    def __init__(self, code: Code, message: str, *, retry_after_s: float | None = None) -> None:
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        super().__init__(f"{code.name}: {message}")


def api_error_of(error: BaseException) -> ApiError:
    """The answer for whatever was raised. Nothing of an unexpected error's text gets out."""
    match error:
        case ApiError():
            return error
        case (
            django.db.OperationalError()
            | django.db.InterfaceError()
            | django.db.InternalError()
            | psycopg.OperationalError()
            | psycopg.InterfaceError()
            | psycopg.InternalError()
        ):
            # Away, restarting, out of connections or disk, a lock or statement timeout, read-only after a failover.
            return ApiError(Code.UNAVAILABLE, "the database is away or busy", retry_after_s=RETRY_AFTER_S)
        case redis.exceptions.RedisError() | ConnectionInterrupted():
            return ApiError(Code.UNAVAILABLE, "the cache is away", retry_after_s=RETRY_AFTER_S)
        case _:
            return ApiError(Code.INTERNAL, "internal error")


def error_body(error: ApiError) -> dict[str, object]:
    """The error as GraphQL spells it."""
    return {"message": error.message, "extensions": {"code": error.code.name}}


def error_response(error: ApiError) -> HttpResponse:
    """The error as a whole answer."""
    return with_error_headers(json_response({"errors": [error_body(error)]}, error.code.value), error)


def with_error_headers(response: HttpResponse, error: ApiError) -> HttpResponse:
    """Set the headers that go with the code."""
    if error.retry_after_s is not None:
        response["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.code is Code.UNAUTHENTICATED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def json_response(body: object, status: int = 200) -> HttpResponse:
    """A JSON answer that no cache keeps."""
    return HttpResponse(
        json.dumps(body, default=str),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
