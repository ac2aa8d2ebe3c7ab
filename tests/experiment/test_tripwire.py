"""Tripwires on a real Postgres: they park a worker, name it, and let it go; nothing of theirs stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from harness.clock import wait_for
from harness.drivers.process.embedded import running_postgres
from harness.errors import Inconclusive
from harness.receipt import Receipt
from harness.tripwires.commit_wait import CommitWait
from harness.tripwires.tripwire import MidChunk, Point

UUID = "11111111-1111-1111-1111-111111111111"
BATCH = "22222222-2222-2222-2222-222222222222"
POINT = Point(user_id=1, hk_uuid=UUID, batch_id=BATCH, batch_key="b", chunk_index=3, sample="u/d/t/1")
SCHEMA = """
create table healthkit_import_chunk (id bigint primary key, batch_id uuid, chunk_index int, status text,
  claimed_by text, executions int, last_error text);
create table healthkit_data_record (id bigint generated always as identity primary key, user_id bigint, type_id bigint,
  source_id bigint, chunk_id bigint references healthkit_import_chunk deferrable initially deferred, hk_uuid uuid,
  start_at timestamptz, end_at timestamptz, value double precision, unit text, created_at timestamptz,
  unique (user_id, hk_uuid));
insert into healthkit_import_chunk values (7, '22222222-2222-2222-2222-222222222222', 3, 'PENDING', '', 0, '');
"""
INSERT = """
insert into healthkit_data_record (user_id, type_id, source_id, chunk_id, hk_uuid, unit) values (1, 1, 1, 7, %s, '')
on conflict do nothing
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_postgres() as postgres:
        yield postgres.dsn()


@pytest.fixture
def dsn(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as session:
        session.execute("drop table if exists healthkit_data_record, healthkit_import_chunk")
        session.execute(SCHEMA)
    return server


class Importer:
    """A worker's session that imports three samples, the middle one held."""

    def __init__(self, dsn: str) -> None:
        self.session = psycopg.connect(dsn, application_name="worker:worker-2:4711")
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for uuid in (UUID.replace("1", "0"), UUID, UUID.replace("1", "2")):
            self.session.execute(INSERT, (uuid,))
        self.session.commit()

    def end(self) -> None:
        self.thread.join(10)
        self.session.close()


def records(dsn: str) -> int:
    with psycopg.connect(dsn, autocommit=True) as session:
        row = session.execute("select count(*) from healthkit_data_record").fetchone()
    assert row is not None
    return int(row[0])


def test_a_worker_is_parked_named_and_let_go(dsn: str) -> None:
    with MidChunk(dsn, POINT) as tripwire:
        importer = Importer(dsn)
        parked = tripwire.wait_until_parked(timeout_s=60)
        assert (parked.replica, parked.pid, parked.backend_pid) == ("worker-2", 4711, importer.session.info.backend_pid)
        assert "RowExclusiveLock" in parked.receipt.after
        assert parked.receipt.before != parked.receipt.after
        assert records(dsn) == 0
    importer.end()
    assert records(dsn) == 3


def test_a_tripwire_whose_sessions_are_gone_is_still_let_go(dsn: str) -> None:
    tripwire = MidChunk(dsn, POINT)
    importer = Importer(dsn)
    tripwire.wait_until_parked(timeout_s=60)
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chaoslab'")
    tripwire.release()
    tripwire.release()
    importer.end()
    assert records(dsn) == 3


def test_nobody_parked_is_inconclusive(dsn: str) -> None:
    with MidChunk(dsn, POINT) as tripwire, pytest.raises(Inconclusive, match="parked at sample u/d/t/1"):
        tripwire.wait_until_parked(timeout_s=0.2)


def test_a_chunk_that_shows_rows_already_is_inconclusive(dsn: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute(INSERT, (UUID.replace("1", "9"),))
    with MidChunk(dsn, POINT) as tripwire:
        importer = Importer(dsn)
        with pytest.raises(Inconclusive, match="shows rows already"):
            tripwire.wait_until_parked(timeout_s=60)
    importer.end()


def test_a_key_that_is_taken_cannot_be_held(dsn: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute(INSERT, (UUID,))
    with pytest.raises(Inconclusive, match="imported already"):
        MidChunk(dsn, POINT)


def test_a_commit_waits_durable_and_unanswered_until_released(dsn: str) -> None:
    seen: list[Receipt] = []
    commit = CommitWait(dsn, timeout_s=60, on_parked=seen.append)
    with MidChunk(dsn, POINT) as tripwire:
        importer = Importer(dsn)
        parked = tripwire.wait_until_parked(timeout_s=60)
        commit.park(parked.backend_pid, let_go=tripwire.release)
    try:
        assert "SyncRep" in seen[0].after
        assert importer.thread.is_alive()
    finally:
        commit.release()
    importer.end()
    wait_for(lambda: records(dsn) == 3, awaiting="the committed records", timeout_s=60)


def test_who_is_parked_is_held_until_he_leaves(dsn: str) -> None:
    with MidChunk(dsn, POINT) as tripwire:
        importer = Importer(dsn)
        parked = tripwire.wait_until_parked(timeout_s=60)
        assert tripwire.holds(parked)
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name = 'chaoslab' and state = 'idle in transaction'"
            )
        wait_for(lambda: not tripwire.holds(parked), awaiting="the backend to leave", timeout_s=60)
    importer.end()
