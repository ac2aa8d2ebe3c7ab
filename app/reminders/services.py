"""Finding due reminders and sending each once. All times are the database's clock."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.db import connection

from backend.clock import monotonic_s
from backend.env import config
from backend.logs import log_event
from backend.publish import publish
from reminders.gateway import GatewayRefused, GatewayUnavailable, ReminderMessage, reminder_post
from reminders.refusals import SEND_TASK, delivery_refuse

logger = logging.getLogger(__name__)

DUE_PER_ROUND = 200  # deliveries that are made, and dispatched, in one statement; a run has as many rounds as it takes
GATEWAY_SHARE = 0.2  # of the claim timeout: how long the gateway may take over each step of one request
BACKOFF_MAX_DOUBLINGS = 6
BACKOFF_MAX_S = 600.0

# Both compare with statement_timestamp(), which an index can be searched for.
_MATERIALISE = """
WITH due AS (
    SELECT id FROM reminders_reminder
    WHERE NOT has_delivery AND due_at <= statement_timestamp()
    ORDER BY due_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
), taken AS (
    UPDATE reminders_reminder AS reminder SET has_delivery = true FROM due WHERE reminder.id = due.id
    RETURNING reminder.id, reminder.due_at
), made AS (
    INSERT INTO reminders_delivery (reminder_id, due_at, key, status, attempts, last_error, created_at, next_attempt_at)
    SELECT id, due_at, id || ':' || to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
        'pending', 0, '', clock_timestamp(), due_at
    FROM taken
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM taken
"""
# Whoever has waited longest goes first, so that neither new ones nor those that are tried again keep the others out.
_DISPATCH = """
UPDATE reminders_delivery SET next_attempt_at = clock_timestamp() + make_interval(secs => %(again_s)s)
WHERE id IN (
    SELECT id FROM reminders_delivery
    WHERE status = 'pending' AND next_attempt_at <= statement_timestamp()
    ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING id
"""
_CLAIM = """
UPDATE reminders_delivery AS delivery
SET claim_token = %(token)s, claim_expires_at = clock_timestamp() + make_interval(secs => %(claim_s)s),
    attempts = attempts + 1
FROM reminders_reminder AS reminder
WHERE delivery.id = %(id)s AND reminder.id = delivery.reminder_id
  AND delivery.status = 'pending' AND delivery.due_at <= clock_timestamp()
  AND (delivery.claim_token IS NULL OR delivery.claim_expires_at <= clock_timestamp())
RETURNING delivery.key, delivery.reminder_id, delivery.due_at, reminder.text, delivery.attempts
"""
_SENT = """
UPDATE reminders_delivery
SET status = 'sent', sent_at = clock_timestamp(), last_error = '', next_attempt_at = NULL,
    claim_token = NULL, claim_expires_at = NULL
WHERE id = %(id)s AND claim_token = %(token)s AND status = 'pending'
"""
_AGAIN = """
UPDATE reminders_delivery
SET last_error = %(error)s, next_attempt_at = clock_timestamp() + make_interval(secs => %(wait_s)s),
    claim_token = NULL, claim_expires_at = NULL
WHERE id = %(id)s AND claim_token = %(token)s AND status = 'pending'
"""


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours to send until the claim runs out."""

    id: int
    token: UUID
    attempts: int
    message: ReminderMessage


def reminders_send_due() -> int:
    """Make a delivery of each reminder that fell due, and dispatch those whose turn it is; returns how many.

    Ends when the next run is due, at the latest, with the publish that is then under way. A dispatched delivery is
    dispatched again after a while if it is then still pending, so a message that is lost or not sent costs time only.
    """
    until_s = monotonic_s() + min(config().reminder_interval_s, config().claim_timeout_s)
    sent = 0
    while True:
        made = _deliveries_make()
        dispatched = _deliveries_dispatch()
        for delivery_id in dispatched:
            if not publish(SEND_TASK, (delivery_id,), ids={"delivery": str(delivery_id)}):
                return sent  # the broker is away; the others come again by their next attempt's time
            sent += 1
            if monotonic_s() >= until_s:
                return sent  # and here they do, too
        if max(made, len(dispatched)) < DUE_PER_ROUND:
            return sent


def delivery_send(delivery_id: int) -> bool:
    """Send one delivery if it is due, pending and nobody else is at it; True when it was sent now.

    The claim is committed before the request; the request carries the delivery's key, so that a repetition after a
    crash between request and commit has no second effect.
    """
    claimed = _delivery_claim(delivery_id)
    if claimed is None:
        return False
    try:
        reminder_post(
            claimed.message, url=config().reminder_gateway_url, timeout_s=config().claim_timeout_s * GATEWAY_SHARE
        )
    except GatewayRefused as error:
        delivery_refuse(delivery_id=claimed.id, token=claimed.token, reason=str(error))
        _log_failure(claimed, error, level=logging.ERROR)
        return False
    except GatewayUnavailable as error:
        _delivery_end(_AGAIN, claimed, error=str(error), wait_s=retry_wait_s(claimed.attempts))
        _log_failure(claimed, error, level=logging.WARNING)
        return False
    except BaseException as error:
        # Told to stop (SystemExit) or out of time: whether it was sent nobody knows, but the key does.
        _delivery_end(_AGAIN, claimed, error=f"interrupted: {type(error).__name__}", wait_s=0.0)
        raise
    _delivery_end(_SENT, claimed)
    log_event(logger, "reminder_sent", "reminder sent", delivery=delivery_id, key=claimed.message.key)
    return True


def retry_wait_s(attempts: int) -> float:
    """Seconds until a delivery that has failed `attempts` times is tried again: doubling, capped, for ever."""
    base_s = min(config().reminder_interval_s, BACKOFF_MAX_S)
    return min(BACKOFF_MAX_S, base_s * 2.0 ** min(attempts - 1, BACKOFF_MAX_DOUBLINGS))


def _deliveries_make() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_MATERIALISE, {"limit": DUE_PER_ROUND})
        return int(cursor.fetchone()[0])


def _deliveries_dispatch() -> list[int]:
    again_s = max(config().reminder_interval_s, config().overdue_s / 2)
    with connection.cursor() as cursor:
        cursor.execute(_DISPATCH, {"again_s": again_s, "limit": DUE_PER_ROUND})
        return [row[0] for row in cursor.fetchall()]


def _delivery_claim(delivery_id: int) -> ClaimedDelivery | None:
    token = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"id": delivery_id, "token": token, "claim_s": config().claim_timeout_s})
        row: tuple[str, int, datetime, str, int] | None = cursor.fetchone()
    if row is None:
        return None
    key, reminder_id, due_at, text, attempts = row
    return ClaimedDelivery(delivery_id, token, attempts, ReminderMessage(key, reminder_id, due_at, text))


def _delivery_end(sql: str, claimed: ClaimedDelivery, **values: str | float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"id": claimed.id, "token": claimed.token, **values})


def _log_failure(claimed: ClaimedDelivery, error: Exception, *, level: int) -> None:
    log_event(
        logger,
        "reminder_failed",
        "reminder not sent",
        level=level,
        delivery=claimed.id,
        key=claimed.message.key,
        attempts=claimed.attempts,
        error=str(error),
    )
