"""What Django answers outside GraphQL when a request cannot be served: JSON with a code, never a trace."""

import logging
import sys

from django.http import HttpRequest, HttpResponse

from backend.errors import ApiError, Code, api_error_of, error_response
from backend.logs import log_event

logger = logging.getLogger(__name__)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: a host that is not ours, a malformed request."""
    return error_response(ApiError(Code.BAD_REQUEST, "malformed request"))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403 becomes 401: whoever may not, may sign in."""
    return error_response(ApiError(Code.UNAUTHENTICATED, "not allowed"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return error_response(ApiError(Code.NOT_FOUND, "no such page"))


def failed(request: HttpRequest) -> HttpResponse:
    """500, or 503 when a store is away; Django calls it while the exception is being handled."""
    error = sys.exc_info()[1] or RuntimeError("no exception")
    known = api_error_of(error)
    if known.code is Code.INTERNAL:
        log_event(logger, "request_failed", "a request failed unexpectedly", level=logging.ERROR, exc_info=error)
    else:
        name = type(error).__name__
        log_event(logger, "store_unavailable", known.message, level=logging.WARNING, error=name)
    return error_response(known)
