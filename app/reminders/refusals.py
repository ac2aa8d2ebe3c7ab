"""A delivery that the gateway will never take: failed, with a dead letter, until an operator puts it back."""

from typing import LiteralString
from uuid import UUID

from healthkit.database import RawCursor, raw_connection, raw_cursor
from healthkit.dead_letters import dead_letter_add, dead_letter_report

SEND_TASK = "reminders.send_one"

_MESSAGE_ID = "delivery:"  # followed by the delivery's id; those of messages are Celery's
_FAILED: LiteralString = """
UPDATE reminders_delivery
SET status = 'failed', last_error = $3, next_attempt_at = NULL, claim_token = NULL, claim_expires_at = NULL
WHERE id = $1 AND claim_token = $2 AND status = 'pending'
"""
_BACK: LiteralString = """
UPDATE reminders_delivery SET status = 'pending', attempts = 0, next_attempt_at = clock_timestamp()
WHERE id = $1 AND status = 'failed'
"""


def delivery_refuse(*, delivery_id: int, token: UUID, reason: str) -> None:
    """End a claimed delivery for good and keep a dead letter of it, in one transaction; nothing if the claim is lost.

    Raises: `INFRASTRUCTURE_ERRORS`.
    """
    message_id = f"{_MESSAGE_ID}{delivery_id}"
    raw = raw_connection()
    cursor = raw_cursor(raw)
    with raw.transaction():
        if cursor.execute(_FAILED, (delivery_id, token, reason)).rowcount == 0:
            return
        letter = dead_letter_add(
            cursor,
            task_name=SEND_TASK,
            message_id=message_id,
            payload={"task": SEND_TASK, "args": [delivery_id]},
            reason=reason,
        )
    if letter is not None:
        dead_letter_report(letter, task_name=SEND_TASK, message_id=message_id, reason=reason, delivery=delivery_id)


def delivery_of(*, task_name: str, message_id: str) -> int | None:
    """The delivery that a dead letter is about; None when it is about something else."""
    if task_name != SEND_TASK or not message_id.startswith(_MESSAGE_ID):
        return None
    return int(message_id.removeprefix(_MESSAGE_ID))


def delivery_put_back(cursor: RawCursor, delivery_id: int) -> int:
    """Make a failed delivery due again, with fresh attempts, in a transaction of the caller; how many that were."""
    return cursor.execute(_BACK, (delivery_id,)).rowcount
