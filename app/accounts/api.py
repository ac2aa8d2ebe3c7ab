"""GraphQL of accounts: registration and verification codes."""

import strawberry

from accounts.registration import device_register
from accounts.tokens import account_pseudonym
from accounts.verification import code_request, code_verify
from backend.context import Info
from backend.limits import require_text


@strawberry.type
class Registration:
    """A registered device; the token authenticates its further requests."""

    user_id: strawberry.ID
    device_id: strawberry.ID
    token: str


@strawberry.type
class VerificationCode:
    """The code, in place of the message that would carry it, and its life in seconds."""

    code: str
    expires_in_s: int


@strawberry.type
class Verification:
    """Whether the code was right."""

    ok: bool


@strawberry.type
class AccountsMutation:
    """Mutations of accounts."""

    @strawberry.mutation
    def register_device(self, info: Info, account_key: str, device_key: str, name: str, time_zone: str) -> Registration:
        """Register a phone. Idempotent: the same keys give the same ids and the same token."""
        require_text(account_key, name="accountKey")
        info.context.limit_address("registration")
        info.context.limit(f"account:{account_pseudonym(account_key)}")
        made = device_register(account_key=account_key, device_key=device_key, name=name, time_zone=time_zone)
        return Registration(
            user_id=strawberry.ID(str(made.user_id)), device_id=strawberry.ID(str(made.device_id)), token=made.token
        )

    @strawberry.mutation
    def request_verification_code(self, info: Info) -> VerificationCode:
        """Make a code for this device; an earlier one is void."""
        made = code_request(device_id=info.context.device.device_id)
        return VerificationCode(code=made.code, expires_in_s=made.expires_in_s)

    @strawberry.mutation
    def verify_code(self, info: Info, code: str) -> Verification:
        """Check a code. A right answer uses it up; so do too many wrong ones."""
        device = info.context.device
        return Verification(ok=code_verify(device_id=device.device_id, code=require_text(code, name="code")))
