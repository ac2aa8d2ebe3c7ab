"""Faults of Postgres that leave its process alone: sessions ended, a table locked, a sample that it will not take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, LiteralString
from zlib import crc32

import psycopg
from psycopg import sql

from harness.drivers.protocol import Stack
from harness.errors import LabError
from harness.lab_session import lab_session

ARM_TIMEOUT_MS: Final = 5_000
"""How long the lab itself waits for a lock; meanwhile everybody else queues behind it."""
ARM_TRIES: Final = 5
RECORDS: Final = "healthkit_data_record"
REFUSAL: Final = "chaoslab_refuses_sample"

_SESSIONS: LiteralString = """
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND starts_with(application_name, %s) ORDER BY pid
"""
_LOCKED: LiteralString = """
SELECT (SELECT count(*) FROM pg_locks WHERE pid = %(lab)s AND granted AND mode = 'AccessExclusiveLock'
          AND relation = %(table)s::regclass),
       (SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %(table)s::regclass)
"""
_PROBE: LiteralString = """
INSERT INTO healthkit_data_record
    (user_id, type_id, source_id, chunk_id, hk_uuid, start_at, end_at, value, unit, created_at)
VALUES (0, 0, 0, 0, %s, now(), now(), 0, 'chaoslab', now())
"""


@dataclass(slots=True)
class TerminateSessions:
    """`pg_terminate_backend` on every session of a service: statements in flight fail, locks and transactions are gone.

    Blast radius: that service's open transactions, rolled back. Nothing to heal: whoever lost his session may connect.
    """

    service: str
    source: str = "pg_stat_activity, past the links"
    bite_timeout_s: float = 5.0
    name: str = "terminate_sessions"
    is_severing: bool = True
    ended: frozenset[int] = frozenset()

    @property
    def target(self) -> str:
        """`worker→postgres`."""
        return f"{self.service}→postgres"

    def look(self, stack: Stack) -> str:
        """Backends of the service; once told to end, how many of those are still there."""
        found = self._backends(stack)
        if self.ended:
            return f"{len(self.ended & found)} of {len(self.ended)} backends still there, {len(found)} in all"
        return f"{len(found)} backends of {self.service}"

    def inject(self, stack: Stack) -> None:
        """End them all."""
        self.ended = self._backends(stack)
        with lab_session(stack.dsn()) as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", (list(self.ended),))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """There were some, and none of them is left."""
        return not before.startswith("0 ") and now.startswith("0 of ") and bool(self.ended)

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        """None of the ended is left."""
        return not self.ended & self._backends(stack)

    def _backends(self, stack: Stack) -> frozenset[int]:
        with lab_session(stack.dsn()) as session:
            return frozenset(int(str(pid)) for (pid,) in session.execute(_SESSIONS, (f"{self.service}:",)).fetchall())


@dataclass(slots=True)
class LockTable:
    """ACCESS EXCLUSIVE on one table, as a migration that rewrites it. Heals by ending the lab's transaction.

    Symptom: whoever reads or writes the table waits, until its lock timeout. Nobody may be parked in it meanwhile.
    """

    target: str
    source: str = "pg_locks, past the links"
    bite_timeout_s: float = 10.0
    name: str = "lock_table"
    _holder: psycopg.Connection[tuple[object, ...]] | None = field(default=None, repr=False)
    _pid: int = field(default=0, repr=False)

    def look(self, stack: Stack) -> str:
        """Whether the lab has the lock, and how many wait for the table."""
        with lab_session(stack.dsn()) as session:
            held, waiting = session.execute(_LOCKED, {"lab": self._pid, "table": self.target}).fetchall()[0]
        return f"{'held by the lab' if held else 'not held'}, {waiting} sessions wait for {self.target}"

    def inject(self, stack: Stack) -> None:
        """Take the lock, in a transaction that stays open. Raises: LabError when it is not to be had."""
        holder = lab_session(stack.dsn(), autocommit=False)
        self._holder, self._pid = holder, holder.info.backend_pid
        holder.execute(f"SET lock_timeout = {ARM_TIMEOUT_MS}")
        holder.commit()
        for _ in range(ARM_TRIES):
            try:
                holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(self.target)))
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                holder.rollback()
            else:
                return
        raise LabError(f"no lock on {self.target} in {ARM_TRIES} tries of {ARM_TIMEOUT_MS} ms")

    def has_bitten(self, *, before: str, now: str) -> bool:
        """The lab has it, and somebody waits."""
        return before.startswith("not held") and now.startswith("held") and ", 0 sessions" not in now

    def heal(self, stack: Stack) -> None:
        """Roll back."""
        if self._holder is not None:
            self._holder.close()

    def is_whole(self, stack: Stack) -> bool:
        """The lab has it no more."""
        return self.look(stack).startswith("not held")


@dataclass(frozen=True, slots=True)
class RefuseSample:
    """A CHECK on the records that one sample (by its HealthKit UUID) can never pass: a data error, every time.

    Several at once are several constraints. Blast radius: the chunk with that sample. Heals by dropping the constraint;
    when the lab is killed before, it goes with the stack's data (harness/drivers/leftovers.py).
    """

    hk_uuid: str
    source: str = "an insert of that sample by the lab, rolled back"
    bite_timeout_s: float = 5.0
    target: str = "postgres"
    name: str = "refuse_sample"

    def look(self, stack: Stack) -> str:
        """What Postgres says to a record with that UUID."""
        with lab_session(stack.dsn(), autocommit=False) as session:
            try:
                session.execute(_PROBE, (self.hk_uuid,))
            except psycopg.errors.CheckViolation as error:
                return f"a record with UUID {self.hk_uuid} is refused ({error.diag.constraint_name})"
            finally:
                session.rollback()
        return f"a record with UUID {self.hk_uuid} is taken"

    def inject(self, stack: Stack) -> None:
        """Add the constraint, for new rows only. Raises: LabError when the table cannot be had."""
        check = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK (hk_uuid IS DISTINCT FROM {}) NOT VALID")
        _alter(
            stack, check.format(sql.Identifier(RECORDS), sql.Identifier(self._constraint), sql.Literal(self.hk_uuid))
        )

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Taken before, refused now."""
        return before.endswith("is taken") and "is refused" in now

    def heal(self, stack: Stack) -> None:
        """Drop it. Raises: LabError when the table cannot be had."""
        drop = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}")
        _alter(stack, drop.format(sql.Identifier(RECORDS), sql.Identifier(self._constraint)))

    def is_whole(self, stack: Stack) -> bool:
        """No such constraint."""
        with lab_session(stack.dsn()) as session:
            return not session.execute("SELECT 1 FROM pg_constraint WHERE conname = %s", (self._constraint,)).fetchall()

    @property
    def _constraint(self) -> str:
        """A name of its own that does not tell the UUID: the app may log it."""
        return f"{REFUSAL}_{crc32(self.hk_uuid.encode()):08x}"


def _alter(stack: Stack, statement: sql.Composed) -> None:
    with lab_session(stack.dsn()) as session:
        session.execute(f"SET lock_timeout = {ARM_TIMEOUT_MS}")
        for _ in range(ARM_TRIES):
            try:
                session.execute(statement)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                continue
            return
    raise LabError(f"{RECORDS} could not be altered in {ARM_TRIES} tries of {ARM_TIMEOUT_MS} ms")
