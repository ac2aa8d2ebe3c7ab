"""Invariant: what was surely refused left nothing, and nothing is there that nobody sent.

*Phantom*: the upload of a chunk FAILED on every attempt (no attempt UNKNOWN), yet its chunk row is there, or a record
that no other attempted sample accounts for. *Unexpected*: a record whose natural tuple no device ever attempted and
that is no wrong copy of an attempted one; a batch, chunk or rejected row that no device sent.

Cannot see: effects of UNKNOWN ops that should not have happened; they may have, by definition.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import NAMED, named
from harness.evidence.evidence import Evidence

_PHANTOM_CHUNKS = """
SELECT t.batch_key, t.idx, h.batch, h.chunk_id FROM told t JOIN homes h USING (batch_key, idx)
WHERE t.told = 'FAILED' ORDER BY t.batch_key, t.idx
"""
_PHANTOM_RECORDS = """
SELECT s.sample, s.user, s.batch_key, s.idx, count(*) OVER () AS total
FROM fates f JOIN samples s ON s.rowid = f.rid
WHERE f.told = 'FAILED' AND f.fate = 'present' AND NOT EXISTS (
    SELECT 1 FROM samples o JOIN fates g ON g.rid = o.rowid
    WHERE o.nk = s.nk AND g.told <> 'FAILED' AND o.mark <> 'bad')
ORDER BY s.sample LIMIT $limit
"""
# A record that only a bad sample matches is the concern of `marks`.
_STRANGERS = """
SELECT r.id, r.user_id, any_value(u.user), any_value(r.type), any_value(r.chunk_id), count(*) OVER () AS total
FROM strangers r LEFT JOIN users u USING (user_id)
WHERE NOT EXISTS (SELECT 1 FROM samples b WHERE b.mark = 'bad' AND (b.uuid = r.hk_uuid OR b.nk = r.nk))
  AND NOT EXISTS (SELECT 1 FROM misses m WHERE m.record_id = r.id)
GROUP BY r.id, r.user_id ORDER BY r.id LIMIT $limit
"""
# A record that nobody sent is often one that somebody sent, altered; that sample's history is worth reading.
_CLOSEST = """
SELECT r.id, arg_min(s.sample, abs(s.start_ms - r.start_ms) + abs(s.end_ms - r.end_ms))
FROM records r JOIN samples s ON s.user_id = r.user_id AND s.type = r.type AND s.source = r.source
     AND abs(s.start_ms - r.start_ms) <= 1000
WHERE s.mark <> 'bad' AND list_contains($ids, r.id) GROUP BY r.id
"""
_UNSENT_BATCHES = """
SELECT b.id, b.batch_key FROM batches b WHERE NOT EXISTS (
    SELECT 1 FROM ops o WHERE o.kind = 'start_import' AND o.batch_key = b.batch_key) ORDER BY b.id
"""
_UNSENT_CHUNKS = """
SELECT c.batch, c.idx, b.batch_key FROM chunks c JOIN batches b ON b.id = c.batch WHERE NOT EXISTS (
    SELECT 1 FROM samples s WHERE s.batch_key = b.batch_key AND s.idx = c.idx) ORDER BY c.batch, c.idx
"""
_UNSENT_REJECTS = """
SELECT r.id, h.batch_key, h.idx, r.position, r.reason FROM rejected r JOIN homes h USING (chunk_id)
WHERE NOT EXISTS (SELECT 1 FROM samples s WHERE s.batch_key = h.batch_key AND s.idx = h.idx AND s.position = r.position)
ORDER BY r.id
"""


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Phantoms, then unexpected things."""
    settle(evidence)
    return (*_phantoms(evidence), *_unexpected(evidence))


def _phantoms(evidence: Evidence) -> list[Anomaly]:
    chunks = [
        (
            f"uploading chunk {idx} of {key} surely failed, yet the chunk is there",
            {"batch_key": key, "batch": batch, "chunk": idx, "chunk_id": chunk_id},
        )
        for key, idx, batch, chunk_id in evidence.rows(_PHANTOM_CHUNKS)
    ]
    # Rare, and its absence is cheap to see; the query itself compares everything with everything of the same content.
    is_any = evidence.rows("SELECT 1 FROM told WHERE told = 'FAILED' LIMIT 1")
    rows = evidence.rows(_PHANTOM_RECORDS, {"limit": NAMED}) if is_any else []
    records = [
        (
            f"sample {sample} was surely refused, yet stored",
            {"sample": sample, "user": user, "batch_key": key, "chunk": idx},
        )
        for sample, user, key, idx, _total in rows
    ]
    return [
        *named(Kind.PHANTOM, chunks),
        *named(Kind.PHANTOM, records, total=rows[0][-1] if rows else 0),
    ]


def _unexpected(evidence: Evidence) -> list[Anomaly]:
    rows = evidence.rows(_STRANGERS, {"limit": NAMED})
    closest = dict(evidence.rows(_CLOSEST, {"ids": [row[0] for row in rows]})) if rows else {}
    records = [
        (
            f"record {record} of {user or f'user {user_id}'} ({type_}): no device sent it"
            + (f"; closest to it is {closest[record]}" if record in closest else ""),
            {
                "record": record,
                "user": user,
                "user_id": user_id,
                "chunk_id": chunk_id,
                "sample": closest.get(record),
            },
        )
        for record, user_id, user, type_, chunk_id, _total in rows
    ]
    others = [
        (f"batch {batch} with key {key}: no device started it", {"batch": batch, "batch_key": key})
        for batch, key in evidence.rows(_UNSENT_BATCHES)
    ]
    others += [
        (f"chunk {idx} of batch {batch}: no device sent it", {"batch": batch, "batch_key": key, "chunk": idx})
        for batch, idx, key in evidence.rows(_UNSENT_CHUNKS)
    ]
    others += [
        (
            f"rejected row {row} ({reason}) at position {position} of chunk {idx}: no sample was sent there",
            {"rejected": row, "batch_key": key, "chunk": idx, "position": position},
        )
        for row, key, idx, position, reason in evidence.rows(_UNSENT_REJECTS)
    ]
    return [
        *named(Kind.UNEXPECTED, records, total=rows[0][-1] if rows else 0),
        *named(Kind.UNEXPECTED, others),
    ]
