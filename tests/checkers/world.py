"""A small hand-made world in which everything is right; tests break one thing and look what is named."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pytest

from harness.checkers.recomputation import recompute
from harness.devices.types import SAMPLE_TYPES
from harness.evidence.evidence import Evidence, Expectations
from harness.evidence.tables import NATURAL_KEY, TABLES, create_tables, open_tables
from harness.receipt import Injected, Receipt

STARTED = datetime(2026, 4, 10, 12, 0, tzinfo=UTC)
STARTED_MS = int(STARTED.timestamp() * 1000)
ENDED = STARTED + timedelta(seconds=60)
NOON_MS = int(datetime(2026, 3, 10, 12, 0, tzinfo=UTC).timestamp() * 1000)
HEART, STEPS = "HKQuantityTypeIdentifierHeartRate", "HKQuantityTypeIdentifierStepCount"
CHUNK_SIZE = 6
Row = dict[str, Any]


def uuid_of(number: int) -> str:
    return str(UUID(int=number + 1))


def fault(**changes: Any) -> Injected:
    """A fault with a sound receipt, ten to twenty seconds into the run."""
    made = Injected(
        name="kill_worker",
        target="worker-1",
        injected_at=STARTED + timedelta(seconds=10),
        bitten_at=STARTED + timedelta(seconds=10.5),
        healed_at=STARTED + timedelta(seconds=20),
        receipt=Receipt(source="process table", before="alive", after="gone"),
    )
    return replace(made, **changes)


@dataclass
class World:
    """Rows of every table; `evidence` turns them into the real thing. Two users, two batches each, two chunks a batch.

    Each chunk: four valid samples, one bad one and one duplicate; the second chunk of the first user's heart rate ends
    with a conflict in place of the duplicate.
    """

    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    kept: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, kind in enumerate(SAMPLE_TYPES):
            self.add("types", id=number + 1, identifier=kind.identifier, kind=kind.kind.value, unit=kind.unit or "")
        for user_id, zone in ((1, "Europe/Berlin"), (2, "Asia/Kolkata")):
            self._add_user(user_id, zone)

    def add(self, table: str, **row: Any) -> Row:
        self.rows[table].append(row)
        return row

    def one(self, table: str, **wanted: Any) -> Row:
        """The first row that matches."""
        return next(row for row in self.rows[table] if wanted.items() <= row.items())

    def drop(self, table: str, **wanted: Any) -> Row:
        row = self.one(table, **wanted)
        self.rows[table].remove(row)
        return row

    def _add_user(self, user_id: int, zone: str) -> None:
        user, device = f"u{user_id}", f"u{user_id}/d0"
        self.add("users", user=user, user_id=user_id, zone=zone)
        self.add("devices", device=device, user=user, device_id=user_id)
        self.add(
            "sources", id=user_id, user_id=user_id, identifier=f"watch.{user}", name="Watch", kind="watch", precedence=1
        )
        self.op(kind="register", user=user, device=device, facts={"user_id": str(user_id), "device_id": str(user_id)})
        for type_ in (HEART, STEPS):
            self._add_batch(user_id, type_)

    def _add_batch(self, user_id: int, type_: str) -> None:
        user, device = f"u{user_id}", f"u{user_id}/d0"
        key, batch = f"{device}/{type_}/b0", f"batch-{user_id}-{type_}"
        facts = {"batch": batch, "chunk_count": 2, "starting_anchor": None, "new_anchor": f"{key}/end"}
        self.op(kind="start_import", user=user, device=device, batch_key=key, type=type_, facts=facts)
        self.add(
            "batches", id=batch, user_id=user_id, device_id=user_id, batch_key=key, type=type_, starting_anchor=None,
            new_anchor=f"{key}/end", chunk_count=2, uploaded_count=2, done_count=2, failed_count=0, status="COMPLETED",
            created_ms=STARTED_MS, finished_ms=STARTED_MS + 5000, dispatch_count=1,
        )  # fmt: skip
        for idx in range(2):
            self._add_chunk(user_id, type_, key, batch, idx)
        self.add("anchors", device_id=user_id, type=type_, value=f"{key}/end", batch=batch)
        self.add(
            "anchor_moves", id=len(self.rows["anchor_moves"]) + 1, device_id=user_id, type=type_, from_value=None,
            to_value=f"{key}/end", batch=batch, moved_ms=STARTED_MS + 5000,
        )  # fmt: skip

    def _add_chunk(self, user_id: int, type_: str, key: str, batch: str, idx: int) -> None:
        user, device = f"u{user_id}", f"u{user_id}/d0"
        chunk_id = len(self.rows["chunks"]) + 1
        for position in range(CHUNK_SIZE):
            number = len(self.rows["samples"])
            start_ms = NOON_MS + idx * 3_600_000 + position * 60_000
            row = self.add(
                "samples", sample=f"{key}/{idx}.{position}", user=user, device=device, batch_key=key,
                idx=idx, position=position, mark="valid", reason=None, type=type_, start_ms=start_ms,
                end_ms=start_ms + 1000, value=60.0 + position, category=None,
                unit="count/min" if type_ == HEART else "count",
                source=f"watch.{user}", source_name="Watch", source_kind="watch", uuid=uuid_of(number), sent=None,
                user_id=user_id,
            )  # fmt: skip
            if position == 4:
                row |= {
                    "mark": "bad",
                    "reason": "wrong_unit",
                    "unit": "furlong",
                    "sent": json.dumps({"unit": "furlong"}),
                }
                self._add_rejected(chunk_id, row)
            elif position == 5:
                self._repeat(row, chunk_id=chunk_id)
            if row["mark"] == "valid":
                self._add_record(row, chunk_id)
        conflicts = sum(r["reason"] == "uuid_conflict" for r in self.rows["rejected"] if r["chunk_id"] == chunk_id)
        self.add(
            "chunks", id=chunk_id, batch=batch, idx=idx, status="DONE", sample_count=CHUNK_SIZE, has_raw=True,
            data_attempts=0, interruptions=0, infra_attempts=0, executions=1, dispatch_count=1, imported_count=4,
            duplicate_count=1 - conflicts, rejected_count=1 + conflicts, is_claimed=False, last_error="",
            created_ms=STARTED_MS, finished_ms=STARTED_MS + 4000,
        )  # fmt: skip
        self.op(
            kind="upload_chunk", user=user, device=device, batch_key=key, batch=batch, idx=idx, sample_count=CHUNK_SIZE
        )

    def _repeat(self, row: Row, *, chunk_id: int) -> None:
        """The last sample of a chunk repeats its first one, or conflicts with it."""
        first = self.rows["samples"][-CHUNK_SIZE]
        row |= {name: first[name] for name in ("start_ms", "end_ms", "value", "uuid")}
        row["sent"] = json.dumps({"uuid": row["uuid"]})
        if chunk_id == 2:
            row |= {"mark": "conflict", "reason": "uuid_conflict", "value": 199.0}
            self._add_rejected(chunk_id, row)
        else:
            row["mark"] = "duplicate"

    def _add_rejected(self, chunk_id: int, sample: Row) -> None:
        self.add(
            "rejected", id=len(self.rows["rejected"]) + 1, chunk_id=chunk_id, position=sample["position"],
            reason=sample["reason"], sample=sample["sent"], is_resolved=False,
        )  # fmt: skip

    def _add_record(self, sample: Row, chunk_id: int) -> None:
        copied = ("user_id", "type", "start_ms", "end_ms", "value", "category", "unit", "source")
        self.add(
            "records", id=len(self.rows["records"]) + 1, source_id=sample["user_id"], chunk_id=chunk_id,
            hk_uuid=sample["uuid"], **{name: sample[name] for name in copied},
        )  # fmt: skip

    def op(self, **changes: Any) -> Row:
        attempt = {"at": STARTED.isoformat(), "ended": STARTED.isoformat(), "took_s": 0.1, "replica": "api-1"}
        row: Row = {
            "op": f"op-{len(self.rows['ops'])}", "kind": "progress", "user": "u1", "device": "u1/d0", "outcome": "OK",
            "batch_key": None, "batch": None, "idx": None, "type": None, "sample_count": 0, "wrong": [], "facts": {},
            "attempts": [attempt], "started_ms": STARTED_MS, "ended_ms": STARTED_MS + 100,
        }  # fmt: skip
        return self.add("ops", **(row | changes))

    def evidence(self, **parts: Any) -> Evidence:
        """The evidence; aggregates are right unless the world holds rows of its own."""
        tables = open_tables(memory_limit="256MB", threads=1)
        create_tables(tables)
        for name, rows in self.rows.items():
            _insert(tables, name, rows)
        for name in ("samples", "records"):
            tables.execute(f"UPDATE {name} SET nk = {NATURAL_KEY}")
        if not self.rows["aggregates"]:
            _fill_aggregates(tables)
        given: dict[str, Any] = {
            "expectations": Expectations(has_faults=False),
            "started_at": STARTED,
            "ended_at": ENDED,
        }
        return Evidence(tables=tables, **(given | self.kept | parts))


def _insert(tables: duckdb.DuckDBPyConnection, name: str, rows: list[Row]) -> None:
    """All rows in one statement: the hypothesis tests do this often."""
    if not rows:
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    values = [
        json.dumps(row.get(column)) if isinstance(row.get(column), dict) or column == "attempts" else row.get(column)
        for row in rows
        for column in columns
    ]
    marks = ", ".join(f"({', '.join('?' * len(columns))})" for _ in rows)
    quoted = ", ".join(f'"{column}"' for column in columns)
    tables.execute(f"INSERT INTO {name} ({quoted}) VALUES {marks}", values)


def _fill_aggregates(tables: duckdb.DuckDBPyConnection) -> None:
    tables.execute(
        "CREATE TEMP VIEW facts AS SELECT r.user_id, r.type, t.kind, r.source, 1 AS precedence, r.start_ms, r.end_ms,"
        " r.value, r.category FROM records r JOIN types t ON t.identifier = r.type"
    )
    recompute(tables)
    tables.execute("INSERT INTO aggregates SELECT *, false FROM expected_aggregates")


@pytest.fixture
def world() -> World:
    return World()
