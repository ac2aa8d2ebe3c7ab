"""Registering a phone: the stand-in for a sign-in."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import DataError, connection, transaction
from django.db.backends.utils import CursorWrapper

from accounts.tokens import account_key_hash, device_token, token_hash
from backend.errors import ApiError, Code
from backend.limits import require_text


@dataclass(frozen=True, slots=True)
class Registration:
    """What a device is told."""

    user_id: int
    device_id: int
    token: str


def device_register(*, account_key: str, device_key: str, name: str, time_zone: str) -> Registration:
    """Find or make the user and the device. Idempotent: the same keys give the same ids and the same token.

    The time zone is the user's and set by the first registration.
    Raises: `ApiError` BAD_REQUEST for a blank or overlong value or an unknown zone.
    """
    for label, value in (("accountKey", account_key), ("deviceKey", device_key), ("name", name)):
        require_text(value, name=label)
    _require_zone(time_zone)
    key_hash = account_key_hash(account_key)
    token = device_token(key_hash=key_hash, device_key=device_key)
    with transaction.atomic(), connection.cursor() as cursor:
        user_id = _user_of(cursor, key_hash=key_hash, time_zone=time_zone)
        device_id = _device_of(
            cursor, user_id=user_id, device_key=device_key, name=name, hashed_token=token_hash(token)
        )
    return Registration(user_id=user_id, device_id=device_id, token=token)


def _user_of(cursor: CursorWrapper, *, key_hash: str, time_zone: str) -> int:
    """Not by DO UPDATE: that locks the row as if its key changed, and so waits for the imports of this user."""
    try:
        cursor.execute(
            "INSERT INTO accounts_user (key_hash, time_zone) SELECT %s, %s WHERE now() AT TIME ZONE %s IS NOT NULL"
            " ON CONFLICT (key_hash) DO NOTHING RETURNING id",
            [key_hash, time_zone, time_zone],
        )
    except DataError:
        raise _unknown_zone() from None
    made = cursor.fetchone()
    if made is None:
        cursor.execute("SELECT id FROM accounts_user WHERE key_hash = %s", [key_hash])
        made = cursor.fetchone()
    return int(made[0])


def _device_of(cursor: CursorWrapper, *, user_id: int, device_key: str, name: str, hashed_token: str) -> int:
    cursor.execute(
        "INSERT INTO accounts_device (user_id, device_key, name, token_hash) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (user_id, device_key) DO NOTHING RETURNING id",
        [user_id, device_key, name, hashed_token],
    )
    made = cursor.fetchone()
    if made is None:
        cursor.execute(
            "UPDATE accounts_device SET name = %s, token_hash = %s WHERE user_id = %s AND device_key = %s RETURNING id",
            [name, hashed_token, user_id, device_key],
        )
        made = cursor.fetchone()
    return int(made[0])


def _require_zone(time_zone: str) -> None:
    """Python and Postgres must both know the zone: one maps samples to days, the other may be asked to."""
    require_text(time_zone, name="timeZone")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _unknown_zone() from None


def _unknown_zone() -> ApiError:
    return ApiError(Code.BAD_REQUEST, "timeZone: expected an IANA name such as Europe/Vienna")
