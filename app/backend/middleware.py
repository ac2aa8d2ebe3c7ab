"""What every request passes first: its host, a bound on its body, a bound on the silence of its connection."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from backend.errors import ApiError, Code, error_response

DRAIN_FACTOR = 8  # of the limit: how much of a refused body is read before the connection is given up
BODY_SILENCE_S = 20.0  # a phone whose connection died in mid-upload must not keep a thread


def request_guard(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Refuse a body over MAX_BODY_BYTES before reading it, and hosts that are not ours.

    In place of Django's CommonMiddleware, which would refuse a load balancer's health checks: those name an address.
    """
    limit_bytes: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    def guard(request: HttpRequest) -> HttpResponseBase:
        # gunicorn hands its threads a socket without a timeout.
        connection = request.META.get("gunicorn.socket")
        if connection is not None:
            connection.settimeout(BODY_SILENCE_S)
        declared_bytes = _declared_length(request)
        if declared_bytes > limit_bytes:
            _drain(request, min(declared_bytes, DRAIN_FACTOR * limit_bytes))
            return error_response(ApiError(Code.TOO_LARGE, f"a body has at most {limit_bytes} bytes"))
        if not request.path.startswith(("/health/", "/metrics")):
            request.get_host()  # raises DisallowedHost, which is answered with 400
        response = get_response(request)
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))
        return response

    return guard


def _drain(request: HttpRequest, size_bytes: int) -> None:
    """Read a refused body without keeping it: closing on a client that still sends would reset the connection, and it
    would never read why."""
    left_bytes = size_bytes
    try:
        while left_bytes > 0:
            part = request.META["wsgi.input"].read(min(left_bytes, 65_536))
            if not part:
                return
            left_bytes -= len(part)
    except OSError:
        return  # gone or silent: then nobody reads the answer either


def _declared_length(request: HttpRequest) -> int:
    """Bytes by Content-Length; without one Django reads no body at all, so a chunked one cannot pass by."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    return int(declared) if declared.isdecimal() else 0
