"""The phone that goes away: seen in its device's rows, and only when it is not merely slow."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from harness.drivers.protocol import Stack
from harness.faults.phones import VanishPhone

KEY = "r-u0/d0/heart/b0"
SCHEMA = """
drop table if exists healthkit_import_batch;
create table healthkit_import_batch (device_id bigint, idempotency_key text, uploaded_count int, chunk_count int,
  status text default 'PENDING', created_at timestamptz default clock_timestamp());
"""
BEGIN = (
    "insert into healthkit_import_batch (device_id, idempotency_key, uploaded_count, chunk_count) values (%s,%s,0,4)"
)
UPLOAD = "update healthkit_import_batch set uploaded_count = %s where idempotency_key = %s"


@pytest.fixture
def session(server: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(server, autocommit=True) as session:
        session.execute(SCHEMA)
        yield session


@pytest.mark.parametrize(
    ("uploaded", "next_device", "has_bitten"),
    [(2, 1, True), (0, 1, False), (4, 1, False), (2, 2, False), (2, None, False)],
    ids=["went on to another batch", "sent nothing", "sent all", "another device's batch", "is merely slow"],
)
def test_bites_when_the_device_leaves_a_half_sent_batch(
    only_postgres: Stack,
    session: psycopg.Connection[tuple[object, ...]],
    uploaded: int,
    next_device: int | None,
    has_bitten: bool,
) -> None:
    told: list[str] = []
    fault = VanishPhone(KEY, told.append)
    before = fault.look(only_postgres)
    fault.inject(only_postgres)
    assert told == [KEY]
    assert not fault.has_bitten(before=before, now=fault.look(only_postgres))
    session.execute(BEGIN, (1, KEY))
    assert not fault.has_bitten(before=before, now=fault.look(only_postgres))
    session.execute(UPLOAD, (uploaded, KEY))
    if next_device is not None:
        session.execute(BEGIN, (next_device, "the next"))
    assert fault.has_bitten(before=before, now=fault.look(only_postgres)) is has_bitten
    fault.heal(only_postgres)
    assert fault.is_whole(only_postgres)


def test_a_batch_that_was_begun_before_proves_nothing(
    only_postgres: Stack, session: psycopg.Connection[tuple[object, ...]]
) -> None:
    fault = VanishPhone(KEY, lambda _key: None)
    session.execute(BEGIN, (1, KEY))
    before = fault.look(only_postgres)
    session.execute(UPLOAD, (2, KEY))
    session.execute(BEGIN, (1, "the next"))
    assert not fault.has_bitten(before=before, now=fault.look(only_postgres))
