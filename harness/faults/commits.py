"""Faults of commits: one that holds, and that nobody is told of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session
from harness.tripwires.tripwire import Parked

_LOOK: LiteralString = """
SELECT (SELECT coalesce(wait_event, state) FROM pg_stat_activity WHERE pid = %(pid)s), c.status,
       (SELECT count(*) FROM healthkit_data_record r WHERE r.chunk_id = c.id)
FROM healthkit_import_chunk c WHERE c.batch_id = %(batch)s AND c.chunk_index = %(index)s
"""


@dataclass(frozen=True, slots=True)
class LoseCommitAnswer:
    """`pg_terminate_backend` on a backend that stands in its COMMIT: the commit holds, its client only loses it.

    To be injected while the commit is parked (`CommitWait.park`). Symptom for the client: a lost connection, as
    if nothing had been done. Blast radius: that session. Nothing to heal: whoever lost it may connect.
    """

    parked: Parked
    source: str = "pg_stat_activity and the chunk's rows, past the links"
    bite_timeout_s: float = 5.0
    name: str = "lose_commit_answer"

    @property
    def target(self) -> str:
        """`worker-1→postgres`."""
        return f"{self.parked.replica}→postgres"

    def look(self, stack: Stack) -> str:
        """What the backend does, and what others see of its chunk."""
        where = {
            "pid": self.parked.backend_pid,
            "batch": self.parked.point.batch_id,
            "index": self.parked.point.chunk_index,
        }
        with lab_session(stack.dsn()) as session:
            doing, status, records = session.execute(_LOOK, where).fetchall()[0]
        backend = f"is in {doing}" if doing else "is gone"
        return f"backend {self.parked.backend_pid} {backend}; its chunk is {status}, {records} records of it visible"

    def inject(self, stack: Stack) -> None:
        """End that session."""
        with lab_session(stack.dsn()) as session:
            session.execute("SELECT pg_terminate_backend(%s)", (self.parked.backend_pid,))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """It stood in its COMMIT, unseen; it is gone, and what it wrote is there."""
        return "is in SyncRep; its chunk is PENDING" in before and "is gone; its chunk is DONE" in now

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        """The backend is gone."""
        return " is gone; " in self.look(stack)
