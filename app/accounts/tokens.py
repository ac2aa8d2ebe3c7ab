"""Secrets of accounts and devices. Only hashes are stored.

A device's token is derived, not drawn: the same account and device key give the same token. A registration whose answer
was lost is simply sent again, and an attempt that was delayed and arrives last cannot put another's token out of force.
After SECRET_KEY has changed, tokens already handed out stay valid until the device registers again.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from django.conf import settings

from healthkit.database import fetch_one_checking

_KEY_SALT = b"accounts.key.v1"
_TOKEN_DOMAIN = b"accounts.device-token.v1"
_SCRYPT_COST = 2**12  # about 10 ms and 4 MiB: registrations are rare, and an account key may be of poor quality


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """Who sent a request."""

    device_id: int
    user_id: int


def account_key_hash(account_key: str) -> str:
    """The hash under which an account is found; the salt is fixed because it must be found by it."""
    return hashlib.scrypt(account_key.encode(), salt=_KEY_SALT, n=_SCRYPT_COST, r=8, p=1, dklen=32).hex()


def account_pseudonym(account_key: str) -> str:
    """A cheap keyed name of an account, for counting its requests; it is not stored and finds nothing."""
    return hmac.digest(settings.SECRET_KEY.encode(), account_key.encode(), "sha256").hex()


def device_token(*, key_hash: str, device_key: str) -> str:
    """The token of a device: 256 bits that only holders of SECRET_KEY can compute."""
    key = hmac.digest(settings.SECRET_KEY.encode(), _TOKEN_DOMAIN, "sha256")
    message = f"{key_hash}\x1f{device_key}".encode()
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).rstrip(b"=").decode()


def token_hash(token: str) -> str:
    """What is stored. The token has full entropy, so one fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def device_identify(*, token: str) -> DeviceIdentity | None:
    """The device of `token`, or None. One round trip."""
    wanted = token_hash(token)
    row = fetch_one_checking("SELECT id, user_id, token_hash FROM accounts_device WHERE token_hash = $1", wanted)
    if row is None or not hmac.compare_digest(row[2], wanted):
        return None
    return DeviceIdentity(device_id=row[0], user_id=row[1])
