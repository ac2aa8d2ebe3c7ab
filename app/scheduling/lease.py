"""The lease: who may tick, by the database's clock and by the holder's own.

A holder stops at its own deadline, counted on its monotonic clock from *before* the statement that renewed, so it is
never later than what the database wrote; no answer from Postgres is needed to stop. Autocommit statements only: a beat
that freezes holds no lock that its successor would wait for.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from backend.clock import monotonic_s

_ACQUIRE = """
INSERT INTO scheduling_beat_lease AS lease (id, holder, token, acquired_at, expires_at)
VALUES (1, %(holder)s, %(token)s, clock_timestamp(), clock_timestamp() + make_interval(secs => %(lease_s)s))
ON CONFLICT (id) DO UPDATE SET
    holder = EXCLUDED.holder,
    token = EXCLUDED.token,
    acquired_at = CASE WHEN lease.token = EXCLUDED.token THEN lease.acquired_at ELSE EXCLUDED.acquired_at END,
    expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE lease.token = EXCLUDED.token OR lease.expires_at <= clock_timestamp()
RETURNING clock_timestamp()
"""
_RELEASE = "UPDATE scheduling_beat_lease SET expires_at = clock_timestamp() WHERE token = %(token)s"


@dataclass(frozen=True, slots=True)
class Held:
    """A lease held: until when by our monotonic clock, and what time the database had at which moment of it."""

    deadline_s: float
    read_at_s: float
    database_time: datetime

    def is_over(self) -> bool:
        """Whether we must no longer tick."""
        return monotonic_s() >= self.deadline_s

    def now(self) -> datetime:
        """The database's clock, carried on by ours. Never ahead of it: the answer took time."""
        return self.database_time + timedelta(seconds=monotonic_s() - self.read_at_s)


def lease_acquire(*, holder: str, token: UUID, lease_s: float) -> Held | None:
    """Take or renew the lease for `lease_s` seconds; None when another beat holds it.

    Raises: `DatabaseError`, `InterfaceError` when Postgres does not answer.
    """
    started_s = monotonic_s()
    with connection.cursor() as cursor:
        cursor.execute(_ACQUIRE, {"holder": holder, "token": token, "lease_s": lease_s})
        row = cursor.fetchone()
    if row is None:
        return None
    return Held(deadline_s=started_s + lease_s, read_at_s=monotonic_s(), database_time=row[0])


def lease_release(*, token: UUID) -> None:
    """Let the next beat lead at once; nothing happens when the lease is not ours."""
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"token": token})
