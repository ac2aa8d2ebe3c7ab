"""The tables that checkers read, in one DuckDB database per scenario: what was attempted, told and found.

Instants are whole milliseconds since the epoch, UTC (`*_ms`), durations seconds. `nk` is the hash of a sample's
natural tuple in normal form (user, type, start, end, value, category, unit, source); the same expression makes it for
what was sent and for what is stored.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson

TABLES: Mapping[str, str] = {
    # From the ledger.
    "ops": "op VARCHAR, kind VARCHAR, user VARCHAR, device VARCHAR, outcome VARCHAR, batch_key VARCHAR, batch VARCHAR,"
    " idx INTEGER, type VARCHAR, sample_count INTEGER, wrong VARCHAR[], facts JSON, attempts JSON,"
    " started_ms BIGINT, ended_ms BIGINT",
    "samples": "sample VARCHAR, user VARCHAR, device VARCHAR, batch_key VARCHAR, idx INTEGER,"
    " position INTEGER, mark VARCHAR, reason VARCHAR, type VARCHAR, start_ms BIGINT, end_ms BIGINT, value DOUBLE,"
    " category VARCHAR, unit VARCHAR, source VARCHAR, source_name VARCHAR, source_kind VARCHAR, uuid UUID,"
    " sent VARCHAR, user_id BIGINT, nk UBIGINT",
    "users": "user VARCHAR, user_id BIGINT, zone VARCHAR",
    "devices": "device VARCHAR, user VARCHAR, device_id BIGINT",
    # From Postgres.
    "types": "id BIGINT, identifier VARCHAR, kind VARCHAR, unit VARCHAR",
    "sources": "id BIGINT, user_id BIGINT, identifier VARCHAR, name VARCHAR, kind VARCHAR, precedence INTEGER",
    "records": "id BIGINT, user_id BIGINT, type VARCHAR, source_id BIGINT, source VARCHAR, chunk_id BIGINT,"
    " hk_uuid UUID, start_ms BIGINT, end_ms BIGINT, value DOUBLE, category VARCHAR, unit VARCHAR, nk UBIGINT",
    "batches": "id VARCHAR, user_id BIGINT, device_id BIGINT, batch_key VARCHAR, type VARCHAR, starting_anchor VARCHAR,"
    " new_anchor VARCHAR, chunk_count INTEGER, uploaded_count INTEGER, done_count INTEGER, failed_count INTEGER,"
    " status VARCHAR, created_ms BIGINT, finished_ms BIGINT, dispatch_count INTEGER",
    "chunks": "id BIGINT, batch VARCHAR, idx INTEGER, status VARCHAR, sample_count INTEGER, has_raw BOOLEAN,"
    " data_attempts INTEGER, interruptions INTEGER, infra_attempts INTEGER, executions INTEGER, dispatch_count INTEGER,"
    " imported_count INTEGER, duplicate_count INTEGER, rejected_count INTEGER, is_claimed BOOLEAN, last_error VARCHAR,"
    " created_ms BIGINT, finished_ms BIGINT",
    "rejected": "id BIGINT, chunk_id BIGINT, position INTEGER, reason VARCHAR, sample JSON, is_resolved BOOLEAN",
    "fingerprints": "user_id BIGINT, fingerprint VARCHAR, hk_uuid UUID",
    "aggregates": "user_id BIGINT, type VARCHAR, day DATE, total DOUBLE, mean DOUBLE, minimum DOUBLE, maximum DOUBLE,"
    " sample_count BIGINT, closed BOOLEAN",
    "anchors": "device_id BIGINT, type VARCHAR, value VARCHAR, batch VARCHAR",
    "anchor_moves": "id BIGINT, device_id BIGINT, type VARCHAR, from_value VARCHAR, to_value VARCHAR, batch VARCHAR,"
    " moved_ms BIGINT",
    "dead_letters": "id BIGINT, task VARCHAR, message_id VARCHAR, reason VARCHAR, batch VARCHAR, chunk_id BIGINT,"
    " is_redriven BOOLEAN",
    "redrives": "id BIGINT, kind VARCHAR, target VARCHAR, actor VARCHAR",
    "ticks": "id BIGINT, entry VARCHAR, due_ms BIGINT, status VARCHAR, holder VARCHAR, published_ms BIGINT,"
    " done_ms BIGINT",
    "reminders": "id BIGINT, user_id BIGINT, key VARCHAR, text VARCHAR, due_ms BIGINT",
    "deliveries": "id BIGINT, reminder_id BIGINT, due_ms BIGINT, key VARCHAR, status VARCHAR, attempts INTEGER,"
    " sent_ms BIGINT",
    "entries": "name VARCHAR, task VARCHAR, every_s DOUBLE, is_enabled BOOLEAN, last_run_ms BIGINT",
    # Rows with secrets in them, each as one text.
    "account_rows": "source VARCHAR, id BIGINT, text VARCHAR",
    # From Redis: what still lies in a queue or is unacked, and plain values without an expiry.
    "messages": "place VARCHAR, queue VARCHAR, task VARCHAR, message_id VARCHAR, batch VARCHAR, idx INTEGER,"
    " tick VARCHAR, delivery VARCHAR, age_s DOUBLE",
    "immortal_keys": "key VARCHAR",
    # From the reminder receiver, MONITOR, the logs and the watch.
    "received": "at_ms BIGINT, key VARCHAR, reminder_id VARCHAR, due_ms BIGINT, text VARCHAR, status INTEGER",
    "publishes": "at_ms BIGINT, queue VARCHAR, task VARCHAR, message_id VARCHAR, batch VARCHAR, idx INTEGER,"
    " tick VARCHAR, is_redelivered BOOLEAN",
    "log_lines": "at_ms BIGINT, replica VARCHAR, service VARCHAR, level VARCHAR, event VARCHAR, batch VARCHAR,"
    " idx INTEGER, message VARCHAR, line JSON",
    "readings": "at_ms BIGINT, reading JSON",
    # From /metrics of each api replica, after the rows: one row a figure; `label` as in `metrics_page`.
    "metrics": "replica VARCHAR, name VARCHAR, label VARCHAR, value DOUBLE",
}

# One expression for both sides. `+ 0.0` makes -0 and 0 one number; hashes are of values, not of spellings.
NATURAL_KEY = "hash(user_id, type, start_ms, end_ms, value + 0.0, category, coalesce(unit, ''), source)"


def create_tables(tables: duckdb.DuckDBPyConnection, *, only: tuple[str, ...] = ()) -> None:
    """Make every table (or `only` some) that does not exist yet, empty."""
    for name, columns in TABLES.items():
        if not only or name in only:
            tables.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")


def open_tables(path: str = ":memory:", *, memory_limit: str = "512MB", threads: int = 2) -> duckdb.DuckDBPyConnection:
    """A connection with bounded memory; what does not fit goes to disk beside the database."""
    tables = duckdb.connect(path)
    tables.execute(f"SET memory_limit = '{memory_limit}'")
    tables.execute(f"SET threads = {threads}")
    tables.execute("SET preserve_insertion_order = false")
    tables.execute("SET enable_progress_bar = false")
    tables.execute("SET TimeZone = 'UTC'")
    return tables


def insert_rows(tables: duckdb.DuckDBPyConnection, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """Fill a table in bulk, by way of a file: row by row DuckDB takes a millisecond each. NaN becomes null."""
    columns = [(str(row[0]), str(row[1])) for row in tables.execute(f"DESCRIBE {name}").fetchall()]
    names = [column for column, _ in columns]
    with tempfile.TemporaryDirectory(prefix="chaoslab-rows-") as scratch:
        path = Path(scratch) / "rows.jsonl"
        with path.open("wb") as file:
            for row in rows:
                file.write(orjson.dumps(dict(zip(names, row, strict=True)), default=str) + b"\n")
        if path.stat().st_size:
            # A JSON column is given as text: read as JSON it would become one string, in which no path finds anything.
            read_as = {column: "VARCHAR" if type_ == "JSON" else type_ for column, type_ in columns}
            types = ", ".join(f"\"{column}\": '{type_}'" for column, type_ in read_as.items())
            quoted = ", ".join(f'"{column}"' for column in names)
            tables.execute(
                f"INSERT INTO {name} SELECT {quoted} FROM read_json($path,"
                f" format = 'newline_delimited', maximum_object_size = 16777216, columns = {{{types}}})",
                {"path": str(path)},
            )
