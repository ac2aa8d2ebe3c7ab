"""The world that the bench makes up is sound by the lab's own checkers, and they are at work on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.bench.app_env import app_env, migrate
from harness.bench.ledger_check import check_ledger
from harness.bench.stores import bench_stores
from harness.bench.world import World, fill_postgres, write_ledger

WORLD = World(25_000)

pytestmark = pytest.mark.needs("processes")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="chaoslab-bench-") as scratch,
        bench_stores("processes", directory=Path(scratch)) as stores,
    ):
        migrate(app_env(dsn=stores.app_dsn, redis_url=stores.redis_url))
        with psycopg.connect(stores.dsn, autocommit=True) as session:
            fill_postgres(session, WORLD)
        yield stores.dsn


def test_what_is_measured_is_sound_until_a_record_is_gone(dsn: str, tmp_path: Path) -> None:
    write_ledger(WORLD, tmp_path)
    found = check_ledger(tmp_path, dsn)
    assert (found["anomalies"], found["doubts"], found["samples"]) == ([], [], WORLD.total)
    with psycopg.connect(dsn) as session:
        session.execute("DELETE FROM healthkit_data_record WHERE id = (SELECT max(id) FROM healthkit_data_record)")
    assert check_ledger(tmp_path, dsn)["anomalies"]
