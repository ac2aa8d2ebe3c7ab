"""Verification codes, in the shared cache: made on one replica, they work on every other.

One use, limited attempts, limited life. Only a keyed hash of the code is kept. Redis decides both races: the attempt
counter is an atomic increment, and of several right answers only one finds the code to delete.
"""

import hmac
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache

from backend.env import config

_DOMAIN = b"accounts.verification.v1"
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class VerificationCode:
    """A fresh code and its life in seconds."""

    code: str
    expires_in_s: int


def code_request(*, device_id: int) -> VerificationCode:
    """Make a code for a device; an earlier one is void.

    Raises: redis or django-redis errors when the cache is away; the caller is told, nothing falls back.
    """
    code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"
    life_s = int(config().code_ttl_s)
    # Attempts first: were the code there before its counter is reset, it would inherit the tries of the last one.
    cache.set(_attempts_key(device_id), 0, timeout=life_s)
    cache.set(_code_key(device_id), _digest(device_id, code), timeout=life_s)
    return VerificationCode(code=code, expires_in_s=life_s)


def code_verify(*, device_id: int, code: str) -> bool:
    """Whether `code` is the device's current one; a right answer uses it up, the last wrong one voids it.

    Raises: as `code_request`.
    """
    stored = cache.get(_code_key(device_id))
    if stored is None:
        return False
    try:
        attempts = cache.incr(_attempts_key(device_id))
    except ValueError:  # the counter has expired, so the code is about to
        return False
    is_right = hmac.compare_digest(stored, _digest(device_id, code))
    if attempts > config().code_attempts:
        cache.delete(_code_key(device_id))
        return False
    # True from exactly one of several deletes at once.
    return is_right and bool(cache.delete(_code_key(device_id)))


def _code_key(device_id: int) -> str:
    return f"verification:code:{device_id}"


def _attempts_key(device_id: int) -> str:
    return f"verification:attempts:{device_id}"


def _digest(device_id: int, code: str) -> str:
    key = hmac.digest(settings.SECRET_KEY.encode(), _DOMAIN, "sha256")
    return hmac.new(key, f"{device_id}\x1f{code}".encode(), "sha256").hexdigest()
