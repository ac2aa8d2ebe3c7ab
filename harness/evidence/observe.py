"""Observation: the final read of the truth, Postgres and Redis, straight into the evidence tables.

Postgres is read in one repeatable-read transaction by COPY, streamed through files, so that ten million records fit
into little memory. The lab's sessions bypass the links.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import httpx
import psycopg

from harness.evidence.broker_view import connect, immortal_keys, messages
from harness.evidence.files import load_ledger, load_logs, load_monitor, load_watch
from harness.evidence.log_cut import LogCut
from harness.evidence.metrics_page import figures
from harness.evidence.tables import NATURAL_KEY, create_tables, insert_rows
from harness.lab_session import lab_session
from harness.tls import trusted

_BUFFER_BYTES = 4 * 1024 * 1024


def _ms(column: str) -> str:
    """SQL for an instant in whole milliseconds, cut, not rounded; microseconds are exact in a double until 2255."""
    return f"round(date_part('epoch', {column}) * 1e6)::bigint / 1000"


# Table of evidence: the query that fills it, column by column.
_QUERIES = {
    "types": "SELECT id, identifier, kind, unit FROM healthkit_sample_type",
    "sources": "SELECT id, user_id, identifier, name, kind, precedence FROM healthkit_data_source",
    "batches": f"""SELECT id, user_id, device_id, idempotency_key, type_identifier, starting_anchor, new_anchor,
        chunk_count, uploaded_count, done_count, failed_count, status, {_ms("created_at")}, {_ms("finished_at")},
        dispatch_count FROM healthkit_import_batch""",
    "chunks": f"""SELECT id, batch_id, chunk_index, status, sample_count, length(samples) > 1, data_attempts,
        interruptions, infra_attempts, executions, dispatch_count, imported_count, duplicate_count, rejected_count,
        claim_token IS NOT NULL, last_error, {_ms("created_at")}, {_ms("finished_at")} FROM healthkit_import_chunk""",
    "rejected": """SELECT id, chunk_id, sample_index, reason, sample, resolved_at IS NOT NULL
        FROM healthkit_rejected_sample""",
    "aggregates": """SELECT a.user_id, t.identifier, a.day, a.total, a.mean, a.minimum, a.maximum, a.sample_count,
        a.closed FROM healthkit_daily_aggregate a JOIN healthkit_sample_type t ON t.id = a.type_id""",
    "anchors": "SELECT device_id, type_identifier, value, batch_id FROM healthkit_anchor",
    "anchor_moves": f"""SELECT id, device_id, type_identifier, from_value, to_value, batch_id, {_ms("moved_at")}
        FROM healthkit_anchor_move""",
    "dead_letters": """SELECT id, task_name, message_id, reason, batch_id, chunk_id, redriven_at IS NOT NULL
        FROM healthkit_dead_letter""",
    "redrives": "SELECT id, kind, target, actor FROM healthkit_redrive",
    "ticks": f"""SELECT id, entry, {_ms("due_at")}, status, holder, {_ms("published_at")}, {_ms("done_at")}
        FROM scheduling_tick""",
    "reminders": f"SELECT id, user_id, key, text, {_ms('due_at')} FROM reminders_reminder",
    "deliveries": f"""SELECT id, reminder_id, {_ms("due_at")}, key, status, attempts, {_ms("sent_at")}
        FROM reminders_delivery""",
    "account_rows": """SELECT 'accounts_device', id, d::text FROM accounts_device d
        UNION ALL SELECT 'accounts_user', id, u::text FROM accounts_user u""",
    "entries": f"""SELECT p.name, p.task, i.every * CASE i.period WHEN 'days' THEN 86400 WHEN 'hours' THEN 3600
        WHEN 'minutes' THEN 60 WHEN 'seconds' THEN 1 ELSE 1e-6 END, p.enabled, {_ms("p.last_run_at")}
        FROM django_celery_beat_periodictask p
        LEFT JOIN django_celery_beat_intervalschedule i ON i.id = p.interval_id""",
}
_RECORDS = f"""
SELECT id, user_id, type_id, source_id, chunk_id, hk_uuid, {_ms("start_at")}, {_ms("end_at")}, value, category, unit
FROM healthkit_data_record
"""
_RECORD_COLUMNS = (
    "{id: 'BIGINT', user_id: 'BIGINT', type_id: 'BIGINT', source_id: 'BIGINT', chunk_id: 'BIGINT', hk_uuid: 'UUID',"
    " start_ms: 'BIGINT', end_ms: 'BIGINT', value: 'DOUBLE', category: 'VARCHAR', unit: 'VARCHAR'}"
)
# The source's stored identifier as it is: whether it is in normal form is one of the things to be found out.
_INSERT_RECORDS = f"""
INSERT INTO records
SELECT id, user_id, type, source_id, source, chunk_id, hk_uuid, start_ms, end_ms, value, category, unit, {NATURAL_KEY}
FROM (SELECT r.id, r.user_id, t.identifier AS type, r.source_id, d.identifier AS source, r.chunk_id, r.hk_uuid,
             r.start_ms, r.end_ms, r.value, nullif(r.category, '') AS category, r.unit
      FROM read_csv($path, header = false, auto_detect = false, delim = ',', quote = '"', escape = '"', nullstr = '\\N',
                    columns = {_RECORD_COLUMNS}) r
      LEFT JOIN types t ON t.id = r.type_id LEFT JOIN sources d ON d.id = r.source_id)
"""
# A key is its device's own: what several devices call by one key, the ledger calls by a name that is unique in the run.
_NAME_BATCHES = """
UPDATE batches SET batch_key = o.batch_key FROM (
    SELECT DISTINCT d.device_id, o.batch_key, o.facts->>'idempotency_key' AS sent
    FROM ops o JOIN devices d USING (device) WHERE o.kind = 'start_import' AND sent <> o.batch_key) o
WHERE o.device_id = batches.device_id AND o.sent = batches.batch_key
"""
_FINGERPRINTS = "SELECT user_id, encode(fingerprint, 'hex'), hk_uuid FROM healthkit_record_fingerprint"
UNREAD = "unread"
_SETTINGS = "SET statement_timeout = 0; SET TimeZone = 'UTC'; SET extra_float_digits = 1"


def observe_postgres(tables: duckdb.DuckDBPyConnection, dsn: str, *, with_fingerprints: bool = False) -> None:
    """Read every table of the app. Raises: LabError, psycopg.Error when Postgres cannot be read."""
    create_tables(tables)
    with (
        tempfile.TemporaryDirectory(prefix="chaoslab-observe-") as scratch,
        lab_session(dsn) as session,
    ):
        session.execute(_SETTINGS)
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for name, query in _QUERIES.items():
            _copy_into(tables, session, name, query, Path(scratch))
        path = Path(scratch) / "records.csv"
        _copy_out(session, _RECORDS, path)
        tables.execute(_INSERT_RECORDS, {"path": str(path)})
        path.unlink()
        if with_fingerprints:
            _copy_into(tables, session, "fingerprints", _FINGERPRINTS, Path(scratch))
        session.execute("ROLLBACK")


def name_batches(tables: duckdb.DuckDBPyConnection) -> None:
    """Call each batch what the ledger calls it; after both were read."""
    tables.execute(_NAME_BATCHES)


def observe_redis(tables: duckdb.DuckDBPyConnection, redis_url: str) -> None:
    """Read every message that still lies in a queue or is unacked, and what never expires. Raises: redis.RedisError."""
    client = connect(redis_url, timeout_s=10.0)
    try:
        rows = [
            (
                each.place,
                each.queue,
                each.task,
                each.message_id,
                each.batch,
                each.index,
                each.tick,
                each.delivery,
                each.age_s,
            )
            for each in messages(client)
        ]
        immortal = [(key,) for key in immortal_keys(client)]
    finally:
        client.close()
    insert_rows(tables, "messages", rows)
    insert_rows(tables, "immortal_keys", immortal)


def observe_receiver(tables: duckdb.DuckDBPyConnection, receiver_url: str) -> None:
    """Read every request that the reminder receiver stored. Raises: httpx.HTTPError."""
    answer = httpx.get(f"{receiver_url.rstrip('/')}/received", timeout=10.0, verify=trusted())
    answer.raise_for_status()
    rows = []
    for each in answer.json():
        body = each["body"] if isinstance(each["body"], dict) else {}
        due = body.get("due_at")
        due_ms = round(datetime.fromisoformat(due).timestamp() * 1000) if isinstance(due, str) else None
        at_ms = int(datetime.fromisoformat(each["at"]).timestamp() * 1000)
        reminder = None if body.get("reminder_id") is None else str(body["reminder_id"])
        rows.append((at_ms, each["key"], reminder, due_ms, body.get("text"), each["status"]))
    insert_rows(tables, "received", rows)


def observe_metrics(tables: duckdb.DuckDBPyConnection, api_urls: Mapping[str, str]) -> None:
    """Read /metrics of every api replica; call it after the rows. One that gives no answer tells nothing: `UNREAD`."""
    rows: list[tuple[str, str, str, float]] = []
    for replica, url in api_urls.items():
        try:
            text = httpx.get(f"{url.rstrip('/')}/metrics", timeout=10.0, verify=trusted()).raise_for_status().text
        except httpx.HTTPError:
            rows.append((replica, UNREAD, "", 1.0))
            continue
        rows += [(replica, each.name, each.label, each.value) for each in figures(text)]
    insert_rows(tables, "metrics", rows)


def observe(
    tables: duckdb.DuckDBPyConnection,
    *,
    directory: Path,
    dsn: str,
    redis_url: str,
    receiver_url: str | None = None,
    api_urls: Mapping[str, str] | None = None,
    logs: LogCut | None = None,
    with_fingerprints: bool = False,
) -> None:
    """Everything: the ledger, watch and MONITOR files of `directory`, the stores, the receiver, metrics, logs.

    The logs are cut, and kept in `directory`, after the rows were read: beat goes on meanwhile, and what a row tells of
    must be heard of even if the machine stood still between the two.
    """
    create_tables(tables)
    load_ledger(tables, directory)
    load_watch(tables, directory)
    load_monitor(tables, directory)
    try:
        observe_postgres(tables, dsn, with_fingerprints=with_fingerprints)
    finally:
        if logs is not None:
            logs.save(directory / "logs")
    name_batches(tables)
    if logs is not None:
        load_logs(tables, directory / "logs")
    observe_redis(tables, redis_url)
    if receiver_url is not None:
        observe_receiver(tables, receiver_url)
    if api_urls is not None:
        observe_metrics(tables, api_urls)


def _copy_into(
    tables: duckdb.DuckDBPyConnection,
    session: psycopg.Connection[tuple[object, ...]],
    name: str,
    query: str,
    scratch: Path,
) -> None:
    path = scratch / f"{name}.csv"
    _copy_out(session, query, path)
    if path.stat().st_size:
        # Names of tables and options are the lab's own constants.
        tables.execute(
            f"COPY {name} FROM '{path}' (FORMAT csv, HEADER false, DELIMITER ',', QUOTE '\"', ESCAPE '\"',"
            " NULLSTR '\\N', AUTO_DETECT false)"
        )
    path.unlink()


def _copy_out(session: psycopg.Connection[tuple[object, ...]], query: str, path: Path) -> None:
    statement = f"COPY ({query}) TO STDOUT (FORMAT csv, NULL '\\N')".encode()
    with path.open("wb", buffering=_BUFFER_BYTES) as file, session.cursor().copy(statement) as copy:
        for block in copy:
            file.write(block)
