"""Faults of Postgres on a real one: each bites as measured from another session, and is gone after its heal."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import psycopg
import pytest

from harness.clock import wait_for
from harness.drivers.protocol import Stack
from harness.faults.ageing import AgeBatch, AgeRecords
from harness.faults.database import LockTable, RefuseSample, TerminateSessions
from harness.faults.fault import Fault
from harness.faults.held_rows import hold_batch, hold_users

UUID = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"
SCHEMA = """
drop table if exists healthkit_data_record, healthkit_import_chunk, healthkit_import_batch, accounts_user;
create table accounts_user (id bigint, time_zone text);
create table healthkit_import_batch (id uuid, moved_at timestamptz default now());
create table healthkit_import_chunk (id bigint, batch_id uuid, status text, created_at timestamptz default now(),
  finished_at timestamptz default now());
create table healthkit_data_record (id bigint generated always as identity primary key, user_id bigint, type_id bigint,
  source_id bigint, chunk_id bigint, hk_uuid uuid, start_at timestamptz, end_at timestamptz, value double precision,
  unit text, created_at timestamptz default now());
insert into accounts_user values (1, 'UTC');
insert into healthkit_import_batch values ('11111111-1111-1111-1111-111111111111');
insert into healthkit_import_chunk values (1, '11111111-1111-1111-1111-111111111111', 'DONE'),
  (2, '22222222-2222-2222-2222-222222222222', 'FAILED');
"""
INSERT = "insert into healthkit_data_record (hk_uuid) values (%s)"
SHORT_LOCK = "-c lock_timeout=100"


@pytest.fixture
def stack(only_postgres: Stack) -> Stack:
    with psycopg.connect(only_postgres.dsn(), autocommit=True) as session:
        session.execute(SCHEMA)
    return only_postgres


def bite(fault: Fault, stack: Stack, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Inject, and see the receipt's two readings differ as the fault says."""
    before = fault.look(stack)
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(stack)
    meanwhile()
    wait_for(
        lambda: fault.has_bitten(before=before, now=fault.look(stack)),
        awaiting="the bite",
        timeout_s=fault.bite_timeout_s,
        seen=lambda: fault.look(stack),
    )


def test_sessions_of_that_service_only_are_ended(stack: Stack) -> None:
    worker = psycopg.connect(stack.dsn(), autocommit=True, application_name="worker:worker-1:1")
    api = psycopg.connect(stack.dsn(), autocommit=True, application_name="api:api-1:1")
    with api:
        fault = TerminateSessions("worker")
        bite(fault, stack)
        with pytest.raises(psycopg.OperationalError):
            worker.execute("select 1")
        assert api.execute("select 1").fetchone() == (1,)
        fault.heal(stack)
        assert fault.is_whole(stack)


def test_no_session_no_bite(stack: Stack) -> None:
    fault = TerminateSessions("worker")
    before = fault.look(stack)
    fault.inject(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))


def test_a_locked_table_is_waited_for_and_let_go(stack: Stack) -> None:
    reader = psycopg.connect(stack.dsn(), autocommit=True)
    waiting = Thread(target=reader.execute, args=("select count(*) from healthkit_import_chunk",))
    fault = LockTable("healthkit_import_chunk")
    bite(fault, stack, meanwhile=waiting.start)
    with psycopg.connect(stack.dsn(), autocommit=True, options=SHORT_LOCK) as hasty:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            hasty.execute("select count(*) from healthkit_import_chunk")
        fault.heal(stack)
        fault.heal(stack)
        waiting.join(10)
        assert fault.is_whole(stack)
        assert hasty.execute("select count(*) from healthkit_import_chunk").fetchone() == (2,)
    reader.close()


def test_a_lock_that_nobody_waits_for_has_not_bitten(stack: Stack) -> None:
    fault = LockTable("healthkit_import_chunk")
    before = fault.look(stack)
    fault.inject(stack)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    fault.heal(stack)


def test_one_sample_is_refused_until_healed(stack: Stack) -> None:
    fault = RefuseSample(UUID)
    bite(fault, stack)
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        with pytest.raises(psycopg.errors.CheckViolation):
            session.execute(INSERT, (UUID,))
        session.execute(INSERT, (OTHER,))
        fault.heal(stack)
        fault.heal(stack)
        assert fault.is_whole(stack)
        session.execute(INSERT, (UUID,))
        left = session.execute("select count(*) from healthkit_data_record").fetchone()
    assert left == (2,)


AGES = """
select 'batch', extract(day from now() - moved_at)::int from healthkit_import_batch
union all select 'chunk ' || id, extract(day from now() - created_at)::int from healthkit_import_chunk
union all select 'chunk ' || id, extract(day from now() - finished_at)::int from healthkit_import_chunk
union all select 'record', extract(day from now() - created_at)::int from healthkit_data_record
order by 1
"""


def test_everything_grows_old(stack: Stack) -> None:
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        session.execute(INSERT, (UUID,))
        bite(AgeRecords(100), stack)
        ages = session.execute(AGES).fetchall()
        measured = session.execute("select count(start_at) from healthkit_data_record").fetchone()
    assert ages == [("batch", 100), *[("chunk 1", 100)] * 2, *[("chunk 2", 100)] * 2, ("record", 100)]
    assert measured == (0,)


def test_one_batch_grows_old(stack: Stack) -> None:
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        session.execute(INSERT, (UUID,))
        bite(AgeBatch(UUID, 100), stack)
        ages = session.execute(AGES).fetchall()
    assert ages == [("batch", 100), *[("chunk 1", 100)] * 2, *[("chunk 2", 0)] * 2, ("record", 0)]


def test_held_users_are_waited_for_and_let_go(stack: Stack) -> None:
    cleaner = psycopg.connect(stack.dsn(), autocommit=True)
    waiting = Thread(target=cleaner.execute, args=("select 1 from accounts_user for no key update",))
    with cleaner:
        fault = hold_users()
        bite(fault, stack, meanwhile=waiting.start)
        assert waiting.is_alive()
        fault.heal(stack)
        waiting.join(5.0)
        assert not waiting.is_alive()
        assert fault.is_whole(stack)


def test_a_batch_is_held_until_so_many_wait_for_it(stack: Stack) -> None:
    """The second waits for the first, which waits for the lab."""
    uploads = [psycopg.connect(stack.dsn(), autocommit=True) for _ in range(2)]
    update = "select 1 from healthkit_import_batch for update"
    waiting = [Thread(target=each.execute, args=(update,)) for each in uploads]
    fault = hold_batch(UUID, waiters=2)
    assert hold_batch(UUID, waiters=2, before_s=3.0).bite_timeout_s == fault.bite_timeout_s + 3.0
    before = fault.look(stack)
    fault.inject(stack)
    waiting[0].start()
    wait_for(lambda: " 1 sessions" in fault.look(stack), awaiting="the first", timeout_s=fault.bite_timeout_s)
    assert not fault.has_bitten(before=before, now=fault.look(stack))
    waiting[1].start()
    wait_for(lambda: " 2 sessions" in fault.look(stack), awaiting="the second", timeout_s=fault.bite_timeout_s)
    assert fault.has_bitten(before=before, now=fault.look(stack))
    fault.heal(stack)
    for thread, upload in zip(waiting, uploads, strict=True):
        thread.join(5.0)
        assert not thread.is_alive()
        upload.close()


def test_one_user_stays_young(stack: Stack) -> None:
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        for uuid, user in ((UUID, 1), (OTHER, 2)):
            session.execute("insert into healthkit_data_record (hk_uuid, user_id) values (%s, %s)", (uuid, user))
        bite(AgeRecords(100, but_user=2), stack)
        ages = session.execute(
            "select user_id, extract(day from now() - created_at)::int from healthkit_data_record order by user_id"
        ).fetchall()
        chunks = session.execute(
            "select distinct extract(day from now() - created_at)::int from healthkit_import_chunk"
        )
        assert chunks.fetchall() == [(100,)]
    assert ages == [(1, 100), (2, 0)]


def test_every_other_record_grows_old(stack: Stack) -> None:
    with psycopg.connect(stack.dsn(), autocommit=True) as session:
        for uuid in (UUID, OTHER):
            session.execute(INSERT, (uuid,))
        bite(AgeRecords(100, every=2), stack)
        ages = session.execute(
            "select id % 2, extract(day from now() - created_at)::int from healthkit_data_record order by id % 2"
        ).fetchall()
    assert ages == [(0, 100), (1, 0)]
