"""Makes users, batches and chunks as the accepting service leaves them, and reads what an import did to them."""

import base64
import dataclasses
import hashlib
import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import psycopg
import redis
from django.db import connection

from backend.env import config
from harness.clock import wait_for
from healthkit.database import execute, fetch_all, fetch_one
from tests.app.environment import SWEEP_INTERVAL_S
from tests.app.waiting import PATIENCE_S

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"
SLEEP = "HKCategoryTypeIdentifierSleepAnalysis"
WATCH = {"id": "com.apple.health.watch", "name": "Watch", "kind": "watch"}
PHONE = {"id": "com.apple.health.phone", "name": "Phone", "kind": "phone"}
UNITS = {HEART_RATE: "count/min", STEPS: "count", SLEEP: None}


@dataclass(frozen=True, slots=True)
class Phone:
    """A registered device and its user."""

    user_id: int
    device_id: int


def phone(*, zone: str = "Europe/Berlin", user_id: int | None = None) -> Phone:
    """Register a device, of a new user unless one is given."""
    if user_id is None:
        row = fetch_one(
            "INSERT INTO accounts_user (key_hash, time_zone, created_at) VALUES ($1, $2, now()) RETURNING id",
            uuid.uuid4().hex,
            zone,
        )
        assert row is not None
        user_id = int(row[0])
    row = fetch_one(
        "INSERT INTO accounts_device (user_id, device_key, name, token_hash, created_at)"
        " VALUES ($1, $2, 'phone', $2, now()) RETURNING id",
        user_id,
        uuid.uuid4().hex,
    )
    assert row is not None
    return Phone(user_id, int(row[0]))


def sample(
    minute: int = 0,
    *,
    value: Any = 60,
    type_identifier: str = HEART_RATE,
    hour: int = 8,
    day: int = 5,
    **changes: Any,
) -> dict[str, Any]:
    """A valid sample of October 2025, one minute long, with `changes` on top."""
    start = f"2025-10-{day:02}T{hour:02}:{minute:02}:00Z"
    end = f"2025-10-{day:02}T{hour:02}:{minute:02}:30Z"
    made: dict[str, Any] = {
        "uuid": str(uuid.uuid4()),
        "type": type_identifier,
        "start": start,
        "end": end,
        "value": value,
        "unit": UNITS[type_identifier],
        "source": WATCH,
    }
    return made | changes


def batch(
    owner: Phone,
    chunks: Sequence[Sequence[Any] | str],
    *,
    type_identifier: str = HEART_RATE,
    starting_anchor: str | None = None,
    new_anchor: str | None = None,
    chunk_count: int | None = None,
    status: str = "PROCESSING",
) -> uuid.UUID:
    """A committed submission whose chunks have arrived; a chunk given as text is stored as it is."""
    batch_id = uuid.uuid4()
    fetch_all(
        "INSERT INTO healthkit_import_batch (id, user_id, device_id, idempotency_key, type_identifier, starting_anchor,"
        " new_anchor, chunk_count, uploaded_count, status)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
        batch_id,
        owner.user_id,
        owner.device_id,
        str(batch_id),
        type_identifier,
        starting_anchor,
        new_anchor,
        len(chunks) if chunk_count is None else chunk_count,
        len(chunks),
        status,
    )
    for index, samples in enumerate(chunks):
        text = samples if isinstance(samples, str) else json.dumps(samples)
        fetch_all(
            "INSERT INTO healthkit_import_chunk (batch_id, chunk_index, digest, samples, sample_count)"
            " VALUES ($1, $2, $3, $4, $5) RETURNING id",
            batch_id,
            index,
            hashlib.sha256(text.encode()).hexdigest(),
            text,
            len(samples),
        )
    return batch_id


def chunk_state(batch_id: uuid.UUID, index: int = 0) -> dict[str, Any]:
    """The chunk's row."""
    return _row(
        "SELECT to_jsonb(c) FROM healthkit_import_chunk c WHERE batch_id = $1 AND chunk_index = $2", batch_id, index
    )


def batch_state(batch_id: uuid.UUID) -> dict[str, Any]:
    """The batch's row."""
    return _row("SELECT to_jsonb(b) FROM healthkit_import_batch b WHERE id = $1", batch_id)


def count(table: str) -> int:
    """Rows of a table of this app."""
    row = fetch_one(f"SELECT count(*) FROM healthkit_{table}")
    assert row is not None
    return int(row[0])


def _row(query: str, *params: object) -> dict[str, Any]:
    row = fetch_one(query, *params)
    assert row is not None, "no such row"
    parsed: dict[str, Any] = json.loads(row[0])
    return parsed


def queued() -> list[tuple[str, int | None]]:
    """The import messages that wait in the broker, oldest first: (batch id, chunk index; None for the dispatcher)."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        bodies = [json.loads(raw)["body"] for raw in reversed(client.lrange("default", 0, -1))]
    found: list[tuple[str, int | None]] = []
    for body in bodies:
        args = json.loads(base64.b64decode(body))[0]
        found.append((args[0], args[1] if len(args) > 1 else None))
    return found


def age(batch_id: uuid.UUID, sweeps: float) -> None:
    """Let as many sweep intervals pass for a batch and its chunks: each of their stamps moves into the past."""
    for table, key, columns in (
        ("import_batch", "id", ("created_at", "moved_at", "dispatched_at", "next_dispatch_at")),
        (
            "import_chunk",
            "batch_id",
            ("claimed_at", "claim_expires_at", "next_attempt_at", "dispatched_at", "next_dispatch_at", "finished_at"),
        ),
    ):
        changes = ", ".join(f"{column} = {column} - $2 * interval '1 second'" for column in columns)
        execute(f"UPDATE healthkit_{table} SET {changes} WHERE {key} = $1", batch_id, sweeps * SWEEP_INTERVAL_S)


@contextmanager
def with_settings(**changes: Any) -> Iterator[None]:
    """Other values of the environment block, for the modules of imports."""
    changed = dataclasses.replace(config(), **changes)
    modules = [
        module
        for name, module in sys.modules.items()
        if name.startswith("healthkit.") and getattr(module, "config", None) is config
    ]
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(patch.object(module, "config", lambda: changed))
        yield


@dataclass(slots=True)
class Other:
    """A call that runs in another thread, with a connection of its own."""

    thread: threading.Thread
    results: list[Any]

    def result(self) -> Any:
        """What the call returned; an exception is raised here."""
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), f"the other thread did not end within {PATIENCE_S:g} s"
        [value] = self.results
        if isinstance(value, BaseException):
            raise value
        return value


def in_another_session(call: Callable[[], Any]) -> Other:
    """Start `call` in another thread."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            results.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return Other(thread, results)


@contextmanager
def parked(owner: Phone, at: dict[str, Any]) -> Iterator[psycopg.Connection[Any]]:
    """Hold an uncommitted record with the natural key of `at`: whoever inserts it waits until the block ends."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as lab:
        lab.execute("SET lock_timeout = 0")
        lab.execute("SET idle_in_transaction_session_timeout = 0")
        lab.execute(
            "INSERT INTO healthkit_data_record (user_id, type_id, source_id, chunk_id, hk_uuid, start_at, end_at, unit)"
            " VALUES (%s, 1, 1, 1, %s, now(), now(), '')",
            (owner.user_id, at["uuid"]),
        )
        try:
            yield lab
        finally:
            lab.rollback()


def sessions_waiting(amount: int) -> None:
    """Wait until as many sessions wait for a lock, of whatever kind."""

    def are_waiting() -> bool:
        return fetch_all("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted") == [(amount,)]

    wait_for(are_waiting, awaiting=f"{amount} sessions that wait for a lock", timeout_s=PATIENCE_S)


def waiting_backend() -> dict[str, Any]:
    """The backend that waits for another transaction in the middle of its inserts; waits for it to get there."""

    def found() -> dict[str, Any] | None:
        row = fetch_one(
            "SELECT a.pid, a.backend_xid::text, l.mode FROM pg_stat_activity a"
            " JOIN pg_locks l ON l.pid = a.pid AND l.relation = 'healthkit_data_record'::regclass"
            " AND l.mode = 'RowExclusiveLock'"
            " WHERE a.wait_event_type = 'Lock' AND a.wait_event = 'transactionid'"
        )
        return None if row is None else {"pid": row[0], "xid": row[1], "mode": row[2]}

    return wait_for(found, awaiting="a backend that is parked", timeout_s=PATIENCE_S)
