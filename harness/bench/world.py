"""A large, consistent world: a ledger and the Postgres that belongs to it, made by formula on both sides.

Sample number i has the same user, type, chunk, time, value and UUID in the ledger (written by DuckDB) and in Postgres
(written by Postgres), so that ten million of them need no third copy. One chunk in ten holds a sample that was
rejected. All users live in UTC.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import duckdb
import orjson
import psycopg

from harness.bench.world_rows import FIGURES_SQL, INDEXES, ROWS_SQL, SAMPLE_FIELDS
from harness.ledger import OPS_FILE, SAMPLES_FILE, Attempt, Op, Outcome

Session = psycopg.Connection[tuple[Any, ...]]

CHUNK = 100
CHUNKS_PER_BATCH = 125
TYPES = (("HKQuantityTypeIdentifierHeartRate", "count/min"), ("HKQuantityTypeIdentifierStepCount", "count"))
SAMPLES_PER_BATCH = CHUNK * CHUNKS_PER_BATCH
SAMPLES_PER_USER = SAMPLES_PER_BATCH * len(TYPES)
_AT = "2026-01-31T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class World:
    """How large: `samples` in whole users of 25,000."""

    samples: int

    @property
    def users(self) -> int:
        """Number of users, each with one device and one batch a type."""
        return -(-self.samples // SAMPLES_PER_USER)

    @property
    def total(self) -> int:
        """Samples in it."""
        return self.users * SAMPLES_PER_USER


def write_ledger(world: World, directory: Path) -> None:
    """Write `ledger.jsonl` and `samples.jsonl` as simulated phones would have; about 450 bytes a sample."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / OPS_FILE).open("wb") as file:
        for user in range(1, world.users + 1):
            file.writelines(orjson.dumps(op) + b"\n" for op in _ops(user))
    with duckdb.connect() as tables:
        tables.execute("SET preserve_insertion_order = false; SET memory_limit = '1GB'")
        # The path is the lab's own.
        tables.execute(
            f"COPY (SELECT {SAMPLE_FIELDS} FROM range({world.total}) r(i))"
            f" TO '{directory / SAMPLES_FILE}' (FORMAT json)"
        )


def _ops(user: int) -> list[Op]:
    name, device = f"u{user}", f"u{user}/d0"
    register = Op(
        f"{device}/register",
        "register",
        name,
        device,
        Outcome.OK,
        _attempt(),
        facts={"user_id": str(user), "device_id": str(user), "zone": "UTC"},
    )
    ops = [register]
    for number, (type_, _) in enumerate(TYPES):
        key = f"{device}/{number}/b0"
        batch = str(UUID(hashlib.md5(f"batch{user}/{number}".encode()).hexdigest()))  # as in world_rows
        start = {"chunk_count": CHUNKS_PER_BATCH, "batch": batch}
        ops.append(
            Op(
                f"{key}/start",
                "start_import",
                name,
                device,
                Outcome.OK,
                _attempt(),
                batch_key=key,
                batch=batch,
                facts=start,
            )
        )
        ops += [
            Op(
                f"{key}/c{index}",
                "upload_chunk",
                name,
                device,
                Outcome.OK,
                _attempt(),
                batch_key=key,
                batch=batch,
                index=index,
                type=type_,
                sample_count=CHUNK,
            )
            for index in range(CHUNKS_PER_BATCH)
        ]
    return ops


def _attempt() -> tuple[Attempt, ...]:
    return (Attempt(at=_AT, ended=_AT, took_s=0.01, replica="api-1", outcome=Outcome.OK, status=200),)


def fill_postgres(session: Session, world: World, *, since_user: int = 0) -> None:
    """Add the users after `since_user`; the superuser's session, in autocommit. Indexes are made anew at the end."""
    first, last = since_user + 1, world.users
    definitions = _drop_indexes(session)
    session.execute("SET session_replication_role = replica")  # foreign keys hold by construction
    for statement in ROWS_SQL:
        session.execute(statement, {"first": first, "last": last})
    session.execute("SET session_replication_role = origin")
    for definition in definitions:
        session.execute(definition)
    session.execute(FIGURES_SQL, {"first": first, "last": last})
    session.execute("ANALYZE")


def _drop_indexes(session: Session) -> list[LiteralString]:
    """Drop the secondary indexes of the two large tables; the statements that make them again."""
    session.execute("SET maintenance_work_mem = '512MB'; SET statement_timeout = 0; SET lock_timeout = 0")
    found = session.execute(INDEXES).fetchall()
    for drop, _ in found:
        session.execute(drop)
    return [make for _, make in found]
