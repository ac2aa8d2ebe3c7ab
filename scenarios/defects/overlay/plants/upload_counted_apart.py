"""The chunk of an upload is inserted, and committed, before it is counted in its batch."""

from __future__ import annotations

from typing import Any

INSERT = """
WITH batch AS (
    SELECT id, status, chunk_count FROM healthkit_import_batch WHERE id = $1 AND device_id = $2 FOR UPDATE
), chunk AS (
    INSERT INTO healthkit_import_chunk (batch_id, chunk_index, digest, samples, sample_count)
    SELECT id, $3::int, $4::text, $5::text, $6::int FROM batch WHERE status = 'PENDING' AND $3::int < chunk_count
    ON CONFLICT (batch_id, chunk_index) DO NOTHING
    RETURNING batch_id
)
SELECT batch.chunk_count, batch.status, EXISTS (SELECT 1 FROM chunk) FROM batch
"""
COUNT = """
UPDATE healthkit_import_batch b
SET uploaded_count = b.uploaded_count + 1, moved_at = clock_timestamp(),
    status = CASE WHEN b.uploaded_count + 1 = b.chunk_count THEN 'PROCESSING' ELSE b.status END,
    dispatched_at = CASE WHEN b.uploaded_count + 1 = b.chunk_count THEN clock_timestamp() END,
    next_dispatch_at = CASE WHEN b.uploaded_count + 1 = b.chunk_count
                            THEN clock_timestamp() + $2::float8 * interval '1 second' END
WHERE b.id = $1 RETURNING b.status
"""


def _count_afterwards(accepting: Any) -> None:
    real = accepting.fetch_one

    def fetch_one(query: str, *params: object) -> Any:
        if query is not accepting._UPLOAD:
            return real(query, *params)
        batch_id, *kept, sweep_interval_s = params
        found = real(INSERT, batch_id, *kept)
        if found is None:
            return None
        chunk_count, status, is_new = found
        return chunk_count, status, real(COUNT, batch_id, sweep_interval_s)[0] if is_new else None

    accepting.fetch_one = fetch_one


PATCHES = {"healthkit.accepting": _count_afterwards}
