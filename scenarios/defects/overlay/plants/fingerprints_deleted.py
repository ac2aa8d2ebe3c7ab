"""The clean-up takes fingerprints along, and closes no day: what comes again is new, and its day is recomputed."""

from __future__ import annotations

from typing import Any

CLEAN = """
WITH old AS (
    SELECT r.id, r.hk_uuid FROM healthkit_data_record r
    JOIN healthkit_import_chunk c ON c.id = r.chunk_id
    JOIN healthkit_import_batch b ON b.id = c.batch_id AND b.finished_at IS NOT NULL
    WHERE r.user_id = $1 AND r.created_at < clock_timestamp() - $2 * interval '1 day' AND $3::text IS NOT NULL
    LIMIT $4
), forgotten AS (
    DELETE FROM healthkit_record_fingerprint f USING old WHERE f.user_id = $1 AND f.hk_uuid = old.hk_uuid
), gone AS (
    DELETE FROM healthkit_data_record r USING old WHERE r.id = old.id RETURNING r.id
)
SELECT (SELECT count(*) FROM gone), 0
"""


def _forget(retention: Any) -> None:
    retention._CLEAN = CLEAN


PATCHES = {"healthkit.retention": _forget}
