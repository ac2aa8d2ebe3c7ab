"""Reads what lies in files into the evidence tables: ledger, samples, watch, MONITOR, logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

from harness.evidence.broker_view import whole_number
from harness.evidence.tables import NATURAL_KEY, insert_rows
from harness.evidence.watch import WATCH_FILE
from harness.ledger import OPS_FILE, SAMPLES_FILE

MONITOR_FILE = "monitor.jsonl"
_OP_COLUMNS = (
    "{op: 'VARCHAR', kind: 'VARCHAR', \"user\": 'VARCHAR', device: 'VARCHAR', outcome: 'VARCHAR', batch_key: 'VARCHAR',"
    " batch: 'VARCHAR', \"index\": 'INTEGER', type: 'VARCHAR', sample_count: 'INTEGER', wrong: 'VARCHAR[]',"
    " facts: 'JSON', attempts: 'JSON'}"
)
_SAMPLE_COLUMNS = (
    "{sample: 'VARCHAR', \"user\": 'VARCHAR', device: 'VARCHAR', batch_key: 'VARCHAR', \"index\": 'INTEGER',"
    " position: 'INTEGER', mark: 'VARCHAR', reason: 'VARCHAR', type: 'VARCHAR', start_us: 'BIGINT', end_us: 'BIGINT',"
    " value: 'DOUBLE', category: 'VARCHAR', unit: 'VARCHAR', source: 'VARCHAR', source_name: 'VARCHAR',"
    " source_kind: 'VARCHAR', uuid: 'UUID', sent: 'VARCHAR'}"
)
_OPS = f"""
INSERT INTO ops
SELECT op, kind, "user", device, outcome, batch_key, batch, "index", type, sample_count, wrong, facts, attempts,
       epoch_ms(CAST(attempts->0->>'at' AS TIMESTAMPTZ)), epoch_ms(CAST(attempts->-1->>'ended' AS TIMESTAMPTZ))
FROM read_json($paths, format = 'newline_delimited', columns = {_OP_COLUMNS}, ignore_errors = true)
WHERE op IS NOT NULL
"""
_USERS = """
INSERT INTO users SELECT user, min(CAST(facts->>'user_id' AS BIGINT)), any_value(facts->>'zone') FROM ops
WHERE kind = 'register' AND facts->>'user_id' IS NOT NULL GROUP BY user
"""
_DEVICES = """
INSERT INTO devices SELECT device, any_value(user), min(CAST(facts->>'device_id' AS BIGINT)) FROM ops
WHERE kind = 'register' AND facts->>'device_id' IS NOT NULL GROUP BY device
"""
_SAMPLES = f"""
INSERT INTO samples
SELECT *, {NATURAL_KEY} FROM (
    SELECT s.sample, s."user", s.device, s.batch_key, s."index" AS idx, s.position,
           s.mark, s.reason, s.type, s.start_us // 1000 AS start_ms, s.end_us // 1000 AS end_ms, s.value, s.category,
           s.unit, s.source, s.source_name, s.source_kind, s.uuid, s.sent, u.user_id
    FROM read_json($paths, format = 'newline_delimited', columns = {_SAMPLE_COLUMNS}, ignore_errors = true) s
    LEFT JOIN users u ON u.user = s."user" WHERE s.sample IS NOT NULL)
"""


def load_ledger(tables: duckdb.DuckDBPyConnection, *directories: Path) -> None:
    """Ops, users, devices and samples of one or several ledgers. A last line cut short is left out."""
    ops = [str(each / OPS_FILE) for each in directories if _has_content(each / OPS_FILE)]
    samples = [str(each / SAMPLES_FILE) for each in directories if _has_content(each / SAMPLES_FILE)]
    if ops:
        tables.execute(_OPS, {"paths": ops})
        tables.execute(_USERS)
        tables.execute(_DEVICES)
    if samples:
        tables.execute(_SAMPLES, {"paths": samples})


def load_watch(tables: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """The timeline's readings."""
    rows = [(_ms(line.get("at")), orjson.dumps(line).decode()) for line in _lines(directory / WATCH_FILE)]
    insert_rows(tables, "readings", rows)


def load_monitor(tables: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """Publishes that MONITOR saw."""
    rows = []
    for line in _lines(directory / MONITOR_FILE):
        headers: Mapping[str, Any] = line.get("headers") or {}
        rows.append(
            (
                _ms(line.get("at")),
                line.get("queue"),
                line.get("task"),
                line.get("id"),
                headers.get("batch"),
                whole_number(headers.get("chunk")),
                headers.get("tick"),
                bool(line.get("redelivered")),
            )
        )
    insert_rows(tables, "publishes", rows)


def load_logs(tables: duckdb.DuckDBPyConnection, logs: Path) -> None:
    """Every replica's log (`<replica>.log`); a line without a time has that of the line before."""
    rows: list[tuple[Any, ...]] = []
    for path in sorted(logs.glob("*.log")):
        at_ms = 0
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            line = _object(text)
            at_ms = _ms(line.get("ts")) or at_ms
            if text.strip():
                rows.append(_log_row(at_ms, path.stem, text, line))
    insert_rows(tables, "log_lines", rows)


def _log_row(at_ms: int, replica: str, text: str, line: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        at_ms,
        str(line.get("replica") or replica),
        str(line.get("service") or replica.partition("-")[0]),
        str(line["level"]).upper() if line.get("level") else None,
        line.get("event"),
        line.get("batch"),
        whole_number(line.get("chunk")),
        str(line.get("message", text)),
        text if line else None,
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for raw in file:
            line = _object(raw)
            if line:
                yield line


def _object(raw: str | bytes) -> dict[str, Any]:
    """A line as an object; empty for anything else."""
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _ms(text: object) -> int:
    """An ISO stamp in milliseconds; 0 for anything else."""
    if not isinstance(text, str):
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
