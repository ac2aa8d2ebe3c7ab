"""What became of batches and chunks, kept beside the ledger: the report tells a sample's history from it."""

from __future__ import annotations

from pathlib import Path

import duckdb

ROWS_FILE = "rows.jsonl"
_ROWS = """
COPY (
    SELECT 'batch' AS "row", id AS batch, NULL AS "index", status, created_ms, finished_ms, dispatch_count,
           chunk_count, uploaded_count, done_count, failed_count, NULL AS executions, NULL AS interruptions,
           NULL AS data_attempts, NULL AS infra_attempts, NULL AS imported_count, NULL AS duplicate_count,
           NULL AS rejected_count, NULL AS sample_count, NULL AS is_claimed, NULL AS last_error
    FROM batches
    UNION ALL
    SELECT 'chunk', batch, idx, status, created_ms, finished_ms, dispatch_count, NULL, NULL, NULL, NULL, executions,
           interruptions, data_attempts, infra_attempts, imported_count, duplicate_count, rejected_count, sample_count,
           is_claimed, last_error
    FROM chunks
    UNION ALL
    SELECT 'message', batch, idx, place || ' of ' || queue, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, NULL, NULL, task
    FROM messages WHERE batch IS NOT NULL
) TO '{path}' (FORMAT json)
"""


def save_rows(tables: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """Write `rows.jsonl`: one object per batch, chunk, and message that still lies in Redis, as last observed."""
    path = str(directory / ROWS_FILE).replace("'", "''")
    tables.execute(_ROWS.format(path=path))
