"""Tripwires: Postgres itself parks a worker at an exact point, on any app, without a hook in it.

Mid-chunk: the lab holds an uncommitted record with the natural key (user, hk_uuid) of the chunk's middle sample; the
worker's INSERT waits for the lab's transaction to end. Nothing of the lab's is ever committed: its row refers to no
real type, source or chunk, which deferred foreign keys allow until a commit that never comes.

What it cannot reach: apps that look for a row instead of relying on the constraint, and samples without a UUID.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psycopg

from harness.clock import Timeout, wait_for
from harness.errors import Inconclusive, WaitTimeout
from harness.lab_session import lab_session
from harness.receipt import Receipt

TABLE: Final = "healthkit_data_record"
ARM_TIMEOUT_MS: Final = 300

_PLANT = f"""
insert into {TABLE} (user_id, type_id, source_id, chunk_id, hk_uuid, start_at, end_at, value, unit, created_at)
values (%(user)s, 0, 0, 0, %(uuid)s, now(), now(), 0, 'chaoslab', now())
on conflict do nothing returning id
"""
_WAITING = f"""
select a.pid, a.application_name, a.backend_xid::text, a.wait_event_type, a.wait_event,
       exists (select from pg_locks l where l.pid = a.pid and l.granted and l.mode = 'RowExclusiveLock'
               and l.relation = '{TABLE}'::regclass) as writes
from pg_stat_activity a
where %(lab)s = any (pg_blocking_pids(a.pid)) and a.application_name like 'worker:%%'
"""
_VISIBLE = f"""
select count(*) from {TABLE} r join healthkit_import_chunk c on c.id = r.chunk_id
where c.batch_id = %(batch)s and c.chunk_index = %(index)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The sample whose key is held: the middle one of its chunk, occurring nowhere else in the run."""

    user_id: int
    hk_uuid: str
    batch_id: str
    batch_key: str
    chunk_index: int
    sample: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A worker that stands still with half a chunk written.

    `pid` is the pool child's, in the worker's own namespace; `backend_pid` is its Postgres backend.
    """

    point: Point
    replica: str
    pid: int
    backend_pid: int
    receipt: Receipt


class MidChunk:
    """Holds one key. Use as a context manager, or `release` it; a dropped connection releases it too."""

    def __init__(self, dsn: str, point: Point) -> None:
        """Connects as superuser, bypassing the links. Raises: Inconclusive when the key is already taken."""
        self.point = point
        self._session = lab_session(dsn, autocommit=False)
        self._reader = lab_session(dsn)
        try:
            self._plant()
        except BaseException:
            self.release()
            raise

    def wait_until_parked(self, *, timeout_s: Timeout) -> Parked:
        """Wait until a worker demonstrably stands at the key with half the chunk written.

        Raises: Inconclusive when none does in time, or when the chunk shows rows already.
        """
        try:
            return wait_for(
                self._parked,
                awaiting=f"a worker parked at sample {self.point.sample}",
                timeout_s=timeout_s,
                interval_s=0.02,
                seen=self._seen,
            )
        except WaitTimeout as error:
            raise Inconclusive(str(error)) from error

    def holds(self, parked: Parked) -> bool:
        """Whether that very backend still waits at this key."""
        return any(pid == parked.backend_pid for pid, *_ in self._rows())

    def release(self) -> None:
        """Roll back: the worker goes on as if nothing had been. Idempotent."""
        self._session.close()
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()

    def _plant(self) -> None:
        self._session.execute(f"set lock_timeout = {ARM_TIMEOUT_MS}")
        parameters = {"user": self.point.user_id, "uuid": self.point.hk_uuid}
        try:
            planted = self._session.execute(_PLANT, parameters).fetchone()
        except psycopg.errors.LockNotAvailable as error:
            raise Inconclusive(f"sample {self.point.sample} is being imported already") from error
        if planted is None:
            raise Inconclusive(f"sample {self.point.sample} is imported already")

    def _rows(self) -> list[tuple[object, ...]]:
        return self._reader.execute(_WAITING, {"lab": self._session.info.backend_pid}).fetchall()

    def _parked(self) -> Parked | None:
        for backend_pid, name, xid, wait_type, wait, writes in self._rows():
            if xid is None or wait_type != "Lock" or not writes:
                continue
            where = {"batch": self.point.batch_id, "index": self.point.chunk_index}
            visible = self._reader.execute(_VISIBLE, where).fetchone()
            if visible is None or visible[0]:
                raise Inconclusive(f"chunk {self.point.chunk_index} of {self.point.batch_id} shows rows already")
            _, replica, pid = str(name).split(":")
            after = (
                f"{name} (backend {backend_pid}): transaction {xid}, RowExclusiveLock on {TABLE}, waits for {wait} "
                f"of the lab's backend {self._session.info.backend_pid}; 0 rows of the chunk visible"
            )
            receipt = Receipt(source="pg_stat_activity, pg_locks", before="no worker waits at the key", after=after)
            return Parked(
                point=self.point, replica=replica, pid=int(pid), backend_pid=int(str(backend_pid)), receipt=receipt
            )
        return None

    def _seen(self) -> str:
        active = self._reader.execute(
            "select application_name, state, wait_event, left(query, 120) from pg_stat_activity "
            "where application_name like 'worker:%' order by state, application_name"
        ).fetchall()
        chunk = self._reader.execute(
            "select status, claimed_by, executions, last_error from healthkit_import_chunk "
            "where batch_id = %(batch)s and chunk_index = %(index)s",
            {"batch": self.point.batch_id, "index": self.point.chunk_index},
        ).fetchall()
        return "\n".join([f"chunk: {chunk}", *(str(each) for each in active)])
