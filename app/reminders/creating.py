"""Creating reminders: idempotent by the phone's key."""

from datetime import UTC, datetime

from backend.errors import ApiError, Code
from backend.limits import require_text
from healthkit.database import fetch_all, fetch_one

MAX_REMINDER_LENGTH = 1_000
# Postgres keeps times that Python cannot read back: one reminder of the year 0 would fail every run that finds it due.
EARLIEST_DUE = datetime(2000, 1, 1, tzinfo=UTC)
DUE_BEFORE = datetime(2100, 1, 1, tzinfo=UTC)

_CREATE = """
INSERT INTO reminders_reminder (user_id, key, text, due_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, key) DO NOTHING RETURNING id
"""
_FIND = "SELECT id, text, due_at FROM reminders_reminder WHERE user_id = $1 AND key = $2"


def reminder_create(*, user_id: int, key: str, text: str, due_at: datetime) -> int:
    """Make a reminder, or find the one that this key made; its id.

    Raises: `ApiError` BAD_REQUEST; CONFLICT when the key was used for another text or time.
    """
    require_text(key, name="key")
    require_text(text, name="text", max_length=MAX_REMINDER_LENGTH)
    if due_at.tzinfo is None:
        raise ApiError(Code.BAD_REQUEST, "dueAt: expected a time with its zone")
    if not EARLIEST_DUE <= due_at < DUE_BEFORE:
        raise ApiError(Code.BAD_REQUEST, "dueAt: expected a time of the years 2000 to 2099")
    created = fetch_one(_CREATE, user_id, key, text, due_at)
    if created is not None:
        return int(created[0])
    [(reminder_id, known_text, known_due_at)] = fetch_all(_FIND, user_id, key)
    if (known_text, known_due_at) != (text, due_at):
        raise ApiError(Code.CONFLICT, "key was used for another reminder")
    return int(reminder_id)
