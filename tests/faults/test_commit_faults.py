"""A commit whose answer is lost: it holds, its client is told nothing, and that session alone is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import psycopg
import pytest

from harness.clock import wait_for
from harness.drivers.protocol import Stack
from harness.faults.commits import LoseCommitAnswer
from harness.receipt import Receipt
from harness.tripwires.commit_wait import CommitWait
from harness.tripwires.tripwire import Parked, Point

BATCH = "22222222-2222-2222-2222-222222222222"
POINT = Point(user_id=1, hk_uuid="", batch_id=BATCH, batch_key="b", chunk_index=3, sample="u/d/t/1")
SCHEMA = """
drop table if exists healthkit_data_record, healthkit_import_chunk;
create table healthkit_import_chunk (id bigint, batch_id uuid, chunk_index int, status text);
create table healthkit_data_record (chunk_id bigint);
insert into healthkit_import_chunk values (7, '22222222-2222-2222-2222-222222222222', 3, 'PENDING');
"""
IMPORT = """
with done as (update healthkit_import_chunk set status = 'DONE') insert into healthkit_data_record values (7), (7)
"""


class Importer:
    """A worker's session that imports the chunk; `lost` is what it is told when its answer never comes."""

    def __init__(self, dsn: str) -> None:
        self.session = psycopg.connect(dsn, autocommit=True, application_name="worker:worker-2:4711")
        self.lost: psycopg.OperationalError | None = None
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            self.session.execute(IMPORT)
        except psycopg.OperationalError as error:
            self.lost = error

    def close(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.session.close()


@pytest.fixture
def stack(only_postgres: Stack) -> Stack:
    with psycopg.connect(only_postgres.dsn(), autocommit=True) as session:
        session.execute(SCHEMA)
    return only_postgres


@pytest.fixture
def commits(stack: Stack) -> Iterator[CommitWait]:
    held = CommitWait(stack.dsn(), timeout_s=60, on_parked=lambda _: None)
    yield held
    held.release()


def fault_against(importer: Importer) -> LoseCommitAnswer:
    receipt = Receipt(source="", before="", after="")
    pid = importer.session.info.backend_pid
    return LoseCommitAnswer(Parked(point=POINT, replica="worker-2", pid=4711, backend_pid=pid, receipt=receipt))


def test_the_commit_holds_and_only_its_client_is_not_told(stack: Stack, commits: CommitWait) -> None:
    bystander = psycopg.connect(stack.dsn(), autocommit=True, application_name="worker:worker-1:1")
    with closing(Importer(stack.dsn())) as importer:
        fault = fault_against(importer)
        commits.park(importer.session.info.backend_pid, let_go=importer.start)
        before = fault.look(stack)
        assert not fault.has_bitten(before=before, now=before)
        assert not fault.is_whole(stack)
        fault.inject(stack)
        wait_for(
            lambda: fault.has_bitten(before=before, now=fault.look(stack)),
            awaiting="the bite",
            timeout_s=fault.bite_timeout_s,
            seen=lambda: fault.look(stack),
        )
        assert fault.look(stack).endswith("is gone; its chunk is DONE, 2 records of it visible")
        fault.heal(stack)
        fault.heal(stack)
        assert fault.is_whole(stack)
    assert importer.lost is not None
    assert bystander.execute("select 1").fetchone() == (1,)
    bystander.close()


def test_a_session_that_does_not_stand_in_its_commit_is_no_bite(stack: Stack) -> None:
    with closing(Importer(stack.dsn())) as importer:
        fault = fault_against(importer)
        before = fault.look(stack)
        fault.inject(stack)
        wait_for(lambda: fault.is_whole(stack), awaiting="the end of the session", timeout_s=fault.bite_timeout_s)
        assert not fault.has_bitten(before=before, now=fault.look(stack))
        importer.start()
