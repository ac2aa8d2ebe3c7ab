"""POST /graphql/: one operation in, one JSON answer out, its HTTP status following its error code."""

import functools
import logging
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from graphql import GraphQLError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from backend.context import Context
from backend.env import config
from backend.errors import ApiError, Code, api_error_of, error_body, error_response, with_error_headers
from backend.limits import MAX_QUERY_LENGTH
from backend.logs import log_event
from backend.rate_limit import RateLimiter
from backend.schema import schema

logger = logging.getLogger(__name__)

_OPERATIONS = {OperationType.QUERY, OperationType.MUTATION}


@csrf_exempt
def graphql(request: HttpRequest) -> HttpResponse:
    """Execute the operation in the body. Never raises: what a resolver raises is answered by its code."""
    try:
        document, variables, operation_name = _parsed(request)
    except ApiError as error:
        return error_response(error)
    try:
        result = schema.execute_sync(
            document,
            variable_values=variables,
            context_value=Context(request, _limiter()),
            operation_name=operation_name,
            allowed_operation_types=_OPERATIONS,
        )
    except (CannotGetOperationTypeError, InvalidOperationTypeError):
        return error_response(ApiError(Code.BAD_REQUEST, "expected one query or mutation, named by operationName"))
    return _answer(result)


@functools.cache
def _limiter() -> RateLimiter:
    """One per process, so that its pause and its connections are shared by all requests."""
    return RateLimiter(cache_url=config().cache_url, limit_per_minute=config().rate_limit_per_minute)


def _parsed(request: HttpRequest) -> tuple[str, dict[str, Any], str | None]:
    """Query, variables and operation name of a body. Raises: `ApiError` BAD_REQUEST."""
    if request.method != "POST":
        raise ApiError(Code.BAD_REQUEST, "send a POST request")
    if request.content_type != "application/json":
        raise ApiError(Code.BAD_REQUEST, "send application/json")
    try:
        body = orjson.loads(request.body)
    except UnreadablePostError:
        raise ApiError(Code.BAD_REQUEST, "the body did not arrive whole") from None
    except orjson.JSONDecodeError:
        raise ApiError(Code.BAD_REQUEST, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise ApiError(Code.BAD_REQUEST, "expected an object with query and variables")
    query, variables, name = body.get("query"), body.get("variables") or {}, body.get("operationName")
    if not isinstance(query, str) or not isinstance(variables, dict) or not isinstance(name, str | None):
        raise ApiError(Code.BAD_REQUEST, "expected query as text, variables as an object, operationName as text")
    if len(query) > MAX_QUERY_LENGTH:
        raise ApiError(Code.BAD_REQUEST, f"a query has at most {MAX_QUERY_LENGTH} characters; send values as variables")
    return query, variables, name


def _answer(result: ExecutionResult) -> HttpResponse:
    if not result.errors:
        return HttpResponse(orjson.dumps({"data": result.data}), content_type="application/json")
    errors = [_api_error(error) for error in result.errors]
    response = HttpResponse(
        orjson.dumps({"data": result.data, "errors": [error_body(error) for error in errors]}),
        content_type="application/json",
        status=errors[0].code.value,
    )
    return with_error_headers(response, errors[0])


def _api_error(error: GraphQLError) -> ApiError:
    """The answer for one GraphQL error; one without an original is the document's or the variables' fault."""
    original = error.original_error
    if original is None or isinstance(original, GraphQLError):
        return ApiError(Code.BAD_REQUEST, error.message)
    known = api_error_of(original)
    match known.code:
        case Code.UNAVAILABLE:
            log_event(logger, "store_unavailable", known.message, level=logging.WARNING, error=type(original).__name__)
        case Code.INTERNAL:
            log_event(logger, "request_failed", "a request failed unexpectedly", level=logging.ERROR, exc_info=original)
    return known
