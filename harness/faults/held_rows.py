"""Rows that somebody holds, as every import holds its user's and every upload its batch's until it is committed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

BITE_TIMEOUT_S: Final = 10.0
LOCK_TIMEOUT_MS: Final = 5_000
"""How long the lab itself waits for those who hold them now."""

# Of several who want one row only the first waits for its holder, the others for him.
_WAITING: LiteralString = """
WITH RECURSIVE waiting AS (
    SELECT pid, application_name FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))
    UNION SELECT a.pid, a.application_name FROM pg_stat_activity a
    JOIN waiting w ON w.pid = ANY (pg_blocking_pids(a.pid))
)
SELECT application_name FROM waiting ORDER BY application_name
"""


@dataclass(slots=True)
class HoldRows:
    """The rows of a table, or only the one whose id is `held`, locked. Heals by ending the lab's transaction.

    Symptom: whoever changes them, or what belongs to them, waits, until its lock timeout. It shows when so many wait.
    """

    table: str
    name: str
    held: str | None = None
    waiters: int = 1
    target: str = "postgres"
    source: str = "pg_blocking_pids, past the links"
    bite_timeout_s: float = BITE_TIMEOUT_S
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
        chosen = sql.SQL("true") if self.held is None else sql.SQL("id = {}").format(self.held)
        hold = sql.SQL("SELECT id FROM {} WHERE {} ORDER BY id FOR NO KEY UPDATE")
        self._holder.execute(hold.format(sql.Identifier(self.table), chosen))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Held, and as many wait as are meant to."""
        return before == "not held" and now.startswith("held") and int(now.split(" ")[4]) >= self.waiters

    def heal(self, stack: Stack) -> None:
        """Roll back."""
        if self._holder is not None:
            self._holder.close()

    def is_whole(self, stack: Stack) -> bool:
        """The lab has them no more."""
        return self.look(stack) == "not held"


def hold_users() -> HoldRows:
    """The rows of all users: as if an import of each took its time."""
    return HoldRows(table="accounts_user", name="hold_users")


def hold_batch(batch_id: str, *, waiters: int, before_s: float = 0.0) -> HoldRows:
    """One batch's row: as if an upload of it, or the sweeper, took its time. Waiters may come `before_s` later."""
    return HoldRows(
        table="healthkit_import_batch",
        name="hold_batch",
        held=batch_id,
        waiters=waiters,
        bite_timeout_s=BITE_TIMEOUT_S + before_s,
    )
