"""Invariant: of one user's samples with the same natural tuple there is one record, and one batch per idempotency key.

*Natural tuple*: user, type, start and end to the millisecond, value as float64, category, unit, the source's identifier
in normal form. It is recomputed from the stored columns; the app's fingerprint is never read.

Cannot see: two records of one event that differ in any of these fields; by definition they are two samples.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import NAMED, named
from harness.evidence.evidence import Evidence

# Hash first (narrow, so that millions fit), then compare the fields of what has the same hash.
_SUSPECTS = "CREATE OR REPLACE TEMP TABLE suspects AS SELECT nk FROM records GROUP BY nk HAVING count(*) > 1"
_DOUBLED = """
SELECT r.user_id, any_value(u.user), r.type, r.start_ms, count(*) AS copies, list(r.id ORDER BY r.id)[1:5],
       list(DISTINCT r.chunk_id)[1:5], (SELECT min(s.sample) FROM samples s WHERE s.nk = any_value(r.nk)),
       count(*) OVER () AS total
FROM records r JOIN suspects USING (nk) LEFT JOIN users u USING (user_id)
GROUP BY r.user_id, r.type, r.start_ms, r.end_ms, r.value + 0.0, r.category, coalesce(r.unit, ''), r.source
HAVING count(*) > 1 ORDER BY r.user_id, r.type, r.start_ms LIMIT $limit
"""
_BATCHES = "SELECT batch_key, list(id ORDER BY id) FROM batches GROUP BY batch_key, device_id HAVING count(*) > 1"
_CHUNKS = "SELECT batch, idx, count(*) FROM chunks GROUP BY batch, idx HAVING count(*) > 1 ORDER BY batch, idx"


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Records, batches and chunks that exist more than once."""
    evidence.rows(_SUSPECTS)
    rows = evidence.rows(_DOUBLED, {"limit": NAMED})
    records = named(
        Kind.DUPLICATED,
        [
            (
                f"{copies} records of one sample of {user or f'user {user_id}'} ({type_}, records {ids})",
                {"sample": sample, "user": user, "user_id": user_id, "records": ids, "chunks": chunks},
            )
            for user_id, user, type_, _start_ms, copies, ids, chunks, sample, _total in rows
        ],
        total=rows[0][-1] if rows else 0,
    )
    batches = [
        (f"{len(ids)} batches of one idempotency key {key}", {"batch_key": key, "batch": ids[0], "batches": ids})
        for key, ids in evidence.rows(_BATCHES)
    ]
    chunks = [
        (f"{copies} chunks {idx} in batch {batch}", {"batch": batch, "chunk": idx})
        for batch, idx, copies in evidence.rows(_CHUNKS)
    ]
    return (*records, *named(Kind.DUPLICATED, batches), *named(Kind.DUPLICATED, chunks))
