"""An import that takes its time: it holds its user's row, as every import does from its first write to its commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, LiteralString

import psycopg

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

LOCK_TIMEOUT_MS: Final = 5_000
"""How long the lab itself waits for those who hold them now."""

_HOLD: LiteralString = "SELECT id FROM accounts_user ORDER BY id FOR NO KEY UPDATE"
_WAITING: LiteralString = """
SELECT application_name FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid)) ORDER BY application_name
"""


@dataclass(slots=True)
class HoldUsers:
    """The rows of all users, locked as an import locks its own. Heals by ending the lab's transaction.

    Symptom: whoever changes what belongs to a user waits, until its lock timeout; uploads go on. It shows when somebody
    waits.
    """

    target: str = "postgres"
    source: str = "pg_blocking_pids, past the links"
    bite_timeout_s: float = 10.0
    name: str = "hold_users"
    _holder: psycopg.Connection[tuple[object, ...]] | None = field(default=None, repr=False)

    def look(self, stack: Stack) -> str:
        """Whether the lab holds them, and who waits for it."""
        if self._holder is None or self._holder.closed:
            return "not held"
        with lab_session(stack.dsn()) as session:
            waiting = session.execute(_WAITING, (self._holder.info.backend_pid,)).fetchall()
        return f"held by the lab, {len(waiting)} sessions wait: {', '.join(str(name) for (name,) in waiting)}"

    def inject(self, stack: Stack) -> None:
        """Take the locks, in a transaction that stays open."""
        self._holder = lab_session(stack.dsn(), autocommit=False)
        self._holder.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        self._holder.execute(_HOLD)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Held, and somebody waits."""
        return before == "not held" and now.startswith("held") and ", 0 sessions" not in now

    def heal(self, stack: Stack) -> None:
        """Roll back."""
        if self._holder is not None:
            self._holder.close()

    def is_whole(self, stack: Stack) -> bool:
        """The lab has them no more."""
        return self.look(stack) == "not held"
