"""The HTTP gateway that sends reminders (push, SMS): one POST each, bounded in time, repeatable by its key."""

import json
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener


class GatewayFailed(Exception):
    """Not sent, or nobody knows. The tree: `GatewayUnavailable` may pass, `GatewayRefused` will not."""


class GatewayUnavailable(GatewayFailed):
    """No answer, or one that is not about this reminder: 3xx, 5xx, and those 4xx of `_NOT_ITS_FAULT`."""


class GatewayRefused(GatewayFailed):
    """The gateway will never take this reminder (another 4xx)."""


@dataclass(frozen=True, slots=True)
class ReminderMessage:
    """What is sent; `key` makes a repetition recognisable at the other end."""

    key: str
    reminder_id: int
    due_at: datetime
    text: str


# Asked too early or too often; or the address and the credentials are not those that the gateway wants. Whoever mends
# its configuration, or ours, wants no reminder to be lost meanwhile.
_NOT_ITS_FAULT = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


class _NoRedirects(HTTPRedirectHandler):
    """Python would follow some with a GET, whose 200 says nothing of the reminder."""

    def redirect_request(self, *_: Any) -> None:
        """None makes the redirect the answer."""


def reminder_post(message: ReminderMessage, *, url: str, timeout_s: float) -> None:
    """Send `message` to `url`, waiting at most `timeout_s` for the connection and for each piece of the answer.

    Raises: `GatewayUnavailable` (it may have been sent all the same), `GatewayRefused`.
    """
    body = {
        "key": message.key,
        "reminder_id": message.reminder_id,
        "due_at": message.due_at.isoformat(),
        "text": message.text,
    }
    request = Request(
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": message.key},
        method="POST",
    )
    try:
        with build_opener(_NoRedirects).open(request, timeout=timeout_s) as answer:
            answer.read()
    except HTTPError as error:
        with error:
            is_refusal = HTTPStatus.BAD_REQUEST <= error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            failure = GatewayRefused if is_refusal and error.code not in _NOT_ITS_FAULT else GatewayUnavailable
            raise failure(f"the gateway answered {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: the address of a redirect that is none
        raise GatewayUnavailable(f"{type(error).__name__}: {error}") from error
