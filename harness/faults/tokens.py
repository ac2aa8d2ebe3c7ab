"""A device whose token is put out of force: lost phones are locked out by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

REVOKED: Final = "chaoslab-revoked:"


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """The stored hash of one device's token is another. Heals by putting it back.

    Blast radius: that device, which is nobody until then.
    """

    device: str
    target: str = "postgres"
    source: str = "the device's row, read past the links"
    bite_timeout_s: float = 5.0
    name: str = "revoke_token"

    def look(self, stack: Stack) -> str:
        """Whether its token is in force."""
        with lab_session(stack.dsn()) as session:
            found = session.execute(
                "SELECT starts_with(token_hash, %s) FROM accounts_device WHERE device_key = %s", (REVOKED, self.device)
            ).fetchall()
        return f"the token of {self.device} is {'revoked' if found == [(True,)] else 'in force'}"

    def inject(self, stack: Stack) -> None:
        """Make it another."""
        with lab_session(stack.dsn()) as session:
            session.execute(
                "UPDATE accounts_device SET token_hash = left(%s || token_hash, 64) WHERE device_key = %s",
                (REVOKED, self.device),
            )

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Was in force, is revoked."""
        return before.endswith("in force") and now.endswith("revoked")

    def heal(self, stack: Stack) -> None:
        """Nothing to undo: registering again puts it in force."""

    def is_whole(self, stack: Stack) -> bool:
        """Nothing was harmed for good."""
        return True
