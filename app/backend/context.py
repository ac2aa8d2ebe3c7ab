"""What a resolver knows about its request."""

import hmac

from django.http import HttpRequest
from strawberry.types import Info as StrawberryInfo

from accounts.tokens import DeviceIdentity, device_identify
from backend.client_address import client_address
from backend.env import config
from backend.errors import ApiError, Code
from backend.rate_limit import RateLimiter


class Context:
    """Authentication and rate limit of one request; both happen when a resolver asks for the device."""

    def __init__(self, request: HttpRequest, limiter: RateLimiter) -> None:
        self._request = request
        self._limiter = limiter
        self._device: DeviceIdentity | None = None

    @property
    def device(self) -> DeviceIdentity:
        """The device that sent the request. Raises: `ApiError` UNAUTHENTICATED or RATE_LIMITED."""
        # Not functools.cached_property: before Python 3.12 it holds one lock for all requests of the process, and with
        # Postgres away they wait for it one after another.
        if self._device is None:
            self._device = self._identified()
        return self._device

    def _identified(self) -> DeviceIdentity:
        scheme, _, token = self._request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise ApiError(Code.UNAUTHENTICATED, "send the device's token as a bearer token")
        identity = device_identify(token=token.strip())
        if identity is None:
            self.limit_address("unknown token")
            raise ApiError(Code.UNAUTHENTICATED, "unknown token")
        self.limit(f"device:{identity.device_id}")
        return identity

    def require_operator(self) -> None:
        """Raises: `ApiError` UNAUTHENTICATED or RATE_LIMITED unless the operators' token was sent.

        The limit keeps guesses from costing much. Against guessing stands the token's length.
        """
        sent = self._request.headers.get("X-Operator-Token", "")
        expected = config().operator_token
        if not expected or not hmac.compare_digest(sent.encode(), expected.encode()):
            self.limit_address("wrong operator token")
            raise ApiError(Code.UNAUTHENTICATED, "send the operators' token as X-Operator-Token")

    def limit(self, key: str, *, limit_per_minute: int | None = None) -> None:
        """Count one request of `key`. Raises: `ApiError` RATE_LIMITED."""
        refused_for_s = self._limiter.refused_for_s(key, limit_per_minute=limit_per_minute)
        if refused_for_s is not None:
            raise ApiError(Code.RATE_LIMITED, "too many requests", retry_after_s=refused_for_s)

    def limit_address(self, what: str) -> None:
        """Count one `what` of the client's address: of a stranger nothing else is known. Raises: as `limit`."""
        key = f"{what}:{client_address(self._request)}"
        self.limit(key, limit_per_minute=config().address_limit_per_minute)


Info = StrawberryInfo[Context, None]
