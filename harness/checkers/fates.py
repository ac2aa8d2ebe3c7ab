"""What became of every attempted sample; the ground on which the sample checkers stand.

Sets, per sample: *present* a record of the same user with the same natural tuple exists · *rejected* kept with a reason
at its place (unresolved) · *given_up* its chunk FAILED for good and the raw samples are still there · *wrong* a record
carries its UUID, or its chunk, time and source, but other content that nobody sent · *cleaned* the record is gone by
retention, the fingerprint is there · *imported* a bad one whose UUID or content a record has · *uploading* its phone
never finished the batch, which has not ended · *late* raw in a PENDING chunk, and a message still carries the batch ·
*waiting* the same without any message · *gone* neither stored nor waiting. Bad samples are *present* only when a
re-drive resolved them.

Cannot see: which of two equal samples a record came from; they are one by definition.
"""

from __future__ import annotations

from harness.checkers.canonical import fingerprint_of
from harness.evidence.evidence import Evidence
from harness.evidence.tables import insert_rows

_TOLD = """
CREATE TABLE told AS
SELECT batch_key, idx, CASE WHEN bool_or(outcome = 'OK') THEN 'OK' WHEN bool_or(outcome = 'UNKNOWN') THEN 'UNKNOWN'
                            ELSE 'FAILED' END AS told
FROM ops WHERE kind = 'upload_chunk' AND batch_key IS NOT NULL GROUP BY ALL
"""

# One row per (batch key, index) even where a broken app made two batches of one key.
_HOMES = """
CREATE TABLE homes AS
SELECT b.batch_key, c.idx, min(c.id) AS chunk_id, min(b.id) AS batch,
       CASE WHEN bool_or(c.status = 'DONE') THEN 'DONE' WHEN bool_or(c.status = 'PENDING') THEN 'PENDING'
            ELSE 'FAILED' END AS status,
       bool_or(c.has_raw) AS has_raw
FROM chunks c JOIN batches b ON b.id = c.batch GROUP BY b.batch_key, c.idx
"""

_REJECTIONS = """
CREATE TABLE rejections AS
SELECT b.batch_key, c.idx, r.position, min(r.reason) AS reason
FROM rejected r JOIN chunks c ON c.id = r.chunk_id JOIN batches b ON b.id = c.batch
WHERE NOT r.is_resolved GROUP BY ALL
"""

# Bad samples that a re-drive resolved: from then on they are meant to be records.
_REDEEMED = """
CREATE TABLE redeemed AS
SELECT s.rowid AS rid, s.nk FROM samples s JOIN batches b ON b.batch_key = s.batch_key
JOIN chunks c ON c.batch = b.id AND c.idx = s.idx JOIN rejected r ON r.chunk_id = c.id AND r.position = s.position
WHERE s.mark = 'bad' AND r.is_resolved
"""

_UNFINISHED = """
CREATE TABLE unfinished AS
SELECT s.batch_key FROM (
    SELECT batch_key, max(CAST(facts->>'chunk_count' AS INTEGER)) AS chunk_count
    FROM ops WHERE kind = 'start_import' AND batch_key IS NOT NULL GROUP BY batch_key) s
LEFT JOIN (SELECT batch_key, count(*) AS done FROM told WHERE told = 'OK' GROUP BY batch_key) t USING (batch_key)
LEFT JOIN batches b ON b.batch_key = s.batch_key
WHERE coalesce(t.done, 0) < s.chunk_count AND coalesce(b.status, 'PENDING') = 'PENDING'
"""

_FATES = """
CREATE TABLE fates AS
SELECT s.rowid AS rid, coalesce(t.told, 'UNKNOWN') AS told, j.reason AS rejected_as, h.chunk_id,
       CASE WHEN s.mark = 'bad' AND j.reason IS NOT NULL THEN 'rejected'
            WHEN (s.mark <> 'bad' OR d.rid IS NOT NULL) AND r.nk IS NOT NULL THEN 'present'
            WHEN j.reason IS NOT NULL THEN 'rejected'
            WHEN h.status = 'FAILED' AND h.has_raw THEN 'given_up'
            ELSE 'missing' END AS fate
FROM samples s
LEFT JOIN told t ON t.batch_key = s.batch_key AND t.idx = s.idx
LEFT JOIN homes h ON h.batch_key = s.batch_key AND h.idx = s.idx
LEFT JOIN rejections j ON j.batch_key = s.batch_key AND j.idx = s.idx AND j.position = s.position
LEFT JOIN redeemed d ON d.rid = s.rowid
LEFT JOIN (SELECT DISTINCT nk, start_ms FROM records) r ON r.nk = s.nk AND r.start_ms = s.start_ms
"""

_MISSING = """
CREATE TABLE missing AS
SELECT f.rid, s.*, f.told, f.chunk_id, h.status AS chunk_status, h.batch,
       EXISTS (SELECT 1 FROM messages m WHERE m.batch = h.batch) AS is_carried,
       EXISTS (SELECT 1 FROM unfinished u WHERE u.batch_key = s.batch_key) AS is_unfinished
FROM fates f JOIN samples s ON s.rowid = f.rid LEFT JOIN homes h ON h.batch_key = s.batch_key AND h.idx = s.idx
WHERE f.fate = 'missing'
"""

# Records that nobody sent (bad samples are not meant to become records).
_STRANGERS = """
CREATE TABLE strangers AS
SELECT r.* FROM records r
WHERE NOT EXISTS (SELECT 1 FROM samples s WHERE s.nk = r.nk AND s.start_ms = r.start_ms AND s.mark <> 'bad')
  AND NOT EXISTS (SELECT 1 FROM redeemed d WHERE d.nk = r.nk)
"""

# Such records beside the samples that they were made from.
_WRONG = """
CREATE TABLE wrong AS
SELECT m.rid, min(x.id) AS record_id
FROM missing m JOIN strangers x ON x.user_id = m.user_id
     AND ((m.uuid IS NOT NULL AND x.hk_uuid = m.uuid)
          OR (x.chunk_id = m.chunk_id AND x.start_ms = m.start_ms AND x.end_ms = m.end_ms AND x.source = m.source))
WHERE m.mark <> 'bad' GROUP BY m.rid
"""

# Bad samples that became records nevertheless, which `marks` names.
_IMPORTED = """
CREATE TABLE imported AS
SELECT DISTINCT m.rid FROM missing m JOIN strangers x ON x.user_id = m.user_id
     AND (x.hk_uuid = m.uuid OR (x.nk = m.nk AND x.start_ms = m.start_ms))
WHERE m.mark = 'bad'
"""

_CLEANED_CANDIDATES = """
SELECT m.rid, m.user_id, m.type, m.start_ms, m.end_ms, m.value, m.category, m.unit, m.source
FROM missing m LEFT JOIN wrong w USING (rid) WHERE m.mark <> 'bad' AND w.rid IS NULL
"""

_REFINED = """
CREATE TABLE misses AS
SELECT m.*, w.record_id, CASE
    WHEN w.rid IS NOT NULL THEN 'wrong'
    WHEN c.rid IS NOT NULL THEN 'cleaned'
    WHEN i.rid IS NOT NULL THEN 'imported'
    WHEN m.chunk_status = 'PENDING' AND m.is_unfinished THEN 'uploading'
    WHEN m.chunk_status = 'PENDING' AND m.is_carried THEN 'late'
    WHEN m.chunk_status = 'PENDING' THEN 'waiting'
    ELSE 'gone' END AS fate
FROM missing m LEFT JOIN wrong w USING (rid) LEFT JOIN cleaned c USING (rid) LEFT JOIN imported i USING (rid)
"""

# Batches that an operator put back: they legitimately end again, and have PENDING chunks behind a moved anchor.
_REDRIVEN = """
CREATE TABLE redriven AS
SELECT DISTINCT c.batch FROM redrives r JOIN chunks c
  ON (r.kind = 'batch' AND r.target = c.batch)
  OR (r.kind = 'chunk' AND (r.target = CAST(c.id AS VARCHAR) OR starts_with(r.target, c.batch)))
UNION SELECT DISTINCT batch FROM dead_letters WHERE is_redriven AND batch IS NOT NULL
"""


def settle(evidence: Evidence) -> None:
    """Work the fates out, once per evidence.

    Tables: `fates` (every sample, by the row id of `samples`), `misses` (samples not accounted for), `strangers`
    (records that no sample accounts for), and what they are made from.
    """
    tables = evidence.tables
    if tables.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'misses'").fetchone() == (1,):
        return
    for statement in (
        _TOLD,
        _HOMES,
        _REJECTIONS,
        _REDEEMED,
        _UNFINISHED,
        _FATES,
        _MISSING,
        _STRANGERS,
        _WRONG,
        _IMPORTED,
        _REDRIVEN,
    ):
        tables.execute(statement)
    _find_cleaned(evidence)
    tables.execute(_REFINED)


def _find_cleaned(evidence: Evidence) -> None:
    """The lab computes a missing sample's fingerprint itself and looks whether the app still keeps it."""
    tables = evidence.tables
    tables.execute("CREATE TABLE cleaned (rid BIGINT)")
    if not evidence.expectations.may_clean:
        return
    tables.execute("CREATE TABLE candidates (rid BIGINT, user_id BIGINT, fingerprint VARCHAR)")
    reader = tables.cursor().execute(_CLEANED_CANDIDATES)
    while rows := reader.fetchmany(50_000):
        found = [
            (rid, user_id, fingerprint_of(type_, start_ms, end_ms, category if value is None else value, unit, source))
            for rid, user_id, type_, start_ms, end_ms, value, category, unit, source in rows
        ]
        insert_rows(tables, "candidates", found)
    tables.execute(
        "INSERT INTO cleaned SELECT DISTINCT c.rid FROM candidates c"
        " JOIN fingerprints f ON f.user_id = c.user_id AND f.fingerprint = c.fingerprint"
    )


def counts(evidence: Evidence) -> dict[str, int]:
    """The figures of the run: how many samples in each set, as run.json names them."""
    settle(evidence)
    told = dict(evidence.rows("SELECT told, count(*) FROM fates GROUP BY told"))
    of_acknowledged = dict(
        evidence.rows("SELECT fate, count(*) FROM fates WHERE told = 'OK' AND fate <> 'missing' GROUP BY fate")
    )
    missed = dict(evidence.rows("SELECT fate, count(*) FROM misses WHERE told = 'OK' GROUP BY fate"))
    recovered = evidence.rows("SELECT count(*) FROM fates WHERE told = 'UNKNOWN' AND fate IN ('present', 'rejected')")
    return {
        "attempted": sum(told.values()),
        "acknowledged": told.get("OK", 0),
        "present": of_acknowledged.get("present", 0),
        "rejected": of_acknowledged.get("rejected", 0),
        "given_up": of_acknowledged.get("given_up", 0),
        "cleaned": missed.get("cleaned", 0),
        "recovered": recovered[0][0],
        "late": missed.get("late", 0),
        "lost": missed.get("waiting", 0) + missed.get("gone", 0),
    }
