"""The HTTP gateway that sends reminders (push, SMS): one POST each, bounded in time, repeatable by its key."""

import json
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class GatewayFailed(Exception):
    """Not sent, or nobody knows. The tree: `GatewayUnavailable` may pass, `GatewayRefused` will not."""


class GatewayUnavailable(GatewayFailed):
    """No answer, or one that says try again (5xx, 408, 425, 429)."""


class GatewayRefused(GatewayFailed):
    """The gateway will never take this request (another 4xx)."""


@dataclass(frozen=True, slots=True)
class ReminderMessage:
    """What is sent; `key` makes a repetition recognisable at the other end."""

    key: str
    reminder_id: int
    due_at: datetime
    text: str


_TRY_AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


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
        with urlopen(request, timeout=timeout_s) as answer:
            answer.read()
    except HTTPError as error:
        with error:
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _TRY_AGAIN:
                raise GatewayUnavailable(f"the gateway answered {error.code}") from error
            raise GatewayRefused(f"the gateway answered {error.code}") from error
    except (OSError, HTTPException) as error:
        raise GatewayUnavailable(f"{type(error).__name__}: {error}") from error
