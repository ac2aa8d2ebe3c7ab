"""The formulas of a world: sample number i in the ledger, and the rows that belong to it in Postgres."""

from __future__ import annotations

from typing import LiteralString

# i counts samples; 12,500 a batch, 25,000 a user; a sample every 200 s from 2026-01-01 on. Sample 7 of every tenth
# chunk is bad. Both SQL dialects read these expressions alike.
SAMPLE_FIELDS = """
    'u' || (i // 25000 + 1) || '/' || i AS sample, 'u' || (i // 25000 + 1) AS "user",
    'u' || (i // 25000 + 1) || '/d0' AS device,
    'u' || (i // 25000 + 1) || '/d0/' || (i % 25000 // 12500) || '/b0' AS batch_key,
    (i % 12500) // 100 AS "index", i % 100 AS position,
    CASE WHEN i % 1000 = 7 THEN 'bad' ELSE 'valid' END AS mark,
    CASE WHEN i % 1000 = 7 THEN 'bad_value' END AS reason,
    CASE WHEN i % 25000 < 12500 THEN 'HKQuantityTypeIdentifierHeartRate' ELSE 'HKQuantityTypeIdentifierStepCount' END
        AS type,
    (1767225600 + (i % 12500) * 200) * 1000000 AS start_us, (1767225660 + (i % 12500) * 200) * 1000000 AS end_us,
    CASE WHEN i % 1000 = 7 THEN NULL ELSE 60 + (i % 97) * 0.25::DOUBLE END AS value, NULL AS category,
    CASE WHEN i % 25000 < 12500 THEN 'count/min' ELSE 'count' END AS unit,
    'com.apple.health.' || (i // 25000 + 1) AS source, 'Watch' AS source_name, 'watch' AS source_kind,
    CAST(md5(CAST(i AS VARCHAR)) AS UUID) AS uuid, CASE WHEN i % 1000 = 7 THEN '{"value": "bad"}' END AS sent
"""

_PER_SAMPLE: LiteralString = """
FROM generate_series((%(first)s - 1) * 25000::bigint, %(last)s * 25000::bigint - 1) i
"""
_BATCH_ID: LiteralString = "md5('batch' || u || '/' || n)::uuid"
_PER_BATCH: LiteralString = "FROM generate_series(%(first)s::bigint, %(last)s) u, generate_series(0, 1) n"
_AT: LiteralString = "timestamptz '2026-01-31 00:00:00+00'"

ROWS_SQL: tuple[LiteralString, ...] = (
    """INSERT INTO accounts_user (id, key_hash, time_zone, created_at) OVERRIDING SYSTEM VALUE
    SELECT u, 'world ' || u, 'UTC', """
    + _AT
    + " FROM generate_series(%(first)s::bigint, %(last)s) u",
    """INSERT INTO accounts_device (id, user_id, device_key, name, token_hash, created_at) OVERRIDING SYSTEM VALUE
    SELECT u, u, 'u' || u || '/d0', 'phone', 'world ' || u, """
    + _AT
    + " FROM generate_series(%(first)s::bigint, %(last)s) u",
    """INSERT INTO healthkit_data_source (id, user_id, identifier, name, kind, precedence) OVERRIDING SYSTEM VALUE
    SELECT u, u, 'com.apple.health.' || u, 'Watch', 'watch', 1 FROM generate_series(%(first)s::bigint, %(last)s) u""",
    """INSERT INTO healthkit_import_batch (id, user_id, device_id, idempotency_key, type_identifier, new_anchor,
        chunk_count, uploaded_count, done_count, status, created_at, moved_at, finished_at)
    SELECT """
    + _BATCH_ID
    + """, u, u, 'u' || u || '/d0/' || n || '/b0',
        'HKQuantityTypeIdentifier' || CASE n WHEN 0 THEN 'HeartRate' ELSE 'StepCount' END, 'a' || u || '/' || n,
        125, 125, 125, 'COMPLETED', """
    + f"{_AT}, {_AT}, {_AT} "
    + _PER_BATCH,
    """INSERT INTO healthkit_anchor (user_id, device_id, type_identifier, value, batch_id, moved_at)
    SELECT u, u, 'HKQuantityTypeIdentifier' || CASE n WHEN 0 THEN 'HeartRate' ELSE 'StepCount' END,
        'a' || u || '/' || n,
        """
    + f"{_BATCH_ID}, {_AT} {_PER_BATCH}",
    """INSERT INTO healthkit_anchor_move (device_id, type_identifier, to_value, batch_id, moved_at)
    SELECT u, 'HKQuantityTypeIdentifier' || CASE n WHEN 0 THEN 'HeartRate' ELSE 'StepCount' END, 'a' || u || '/' || n,
        """
    + f"{_BATCH_ID}, {_AT} {_PER_BATCH}",
    # Chunk ids are computed, so that records need no join.
    """INSERT INTO healthkit_import_chunk (id, batch_id, chunk_index, status, digest, samples, sample_count, executions,
        imported_count, rejected_count, created_at, finished_at) OVERRIDING SYSTEM VALUE
    SELECT (u - 1) * 250 + n * 125 + k + 1, """
    + _BATCH_ID
    + """, k, 'DONE', 'digest', '[]', 100, 1, 100 - b.bad, b.bad,
        """
    + f"{_AT}, {_AT} {_PER_BATCH}, generate_series(0, 124) k,"
    + " LATERAL (SELECT ((n * 125 + k) %% 10 = 0)::int AS bad) b",
    """INSERT INTO healthkit_rejected_sample (chunk_id, sample_index, reason, sample)
    SELECT i / 100 + 1, i %% 100, 'bad_value', '{"value": "bad"}' """
    + _PER_SAMPLE
    + " WHERE i %% 1000 = 7",
    """INSERT INTO healthkit_data_record
        (user_id, type_id, source_id, chunk_id, hk_uuid, start_at, end_at, value, unit, created_at)
    SELECT i / 25000 + 1, t.ids[i %% 25000 / 12500 + 1], i / 25000 + 1, i / 100 + 1, md5(i::text)::uuid,
        to_timestamp(1767225600 + (i %% 12500) * 200), to_timestamp(1767225660 + (i %% 12500) * 200),
        60 + (i %% 97) * 0.25::float8, CASE WHEN i %% 25000 < 12500 THEN 'count/min' ELSE 'count' END, """
    + _AT
    + _PER_SAMPLE
    + """, (SELECT array_agg(id ORDER BY identifier) AS ids FROM healthkit_sample_type
        WHERE identifier IN ('HKQuantityTypeIdentifierHeartRate', 'HKQuantityTypeIdentifierStepCount')) t
    WHERE i %% 1000 <> 7""",
    """INSERT INTO healthkit_record_fingerprint (user_id, fingerprint, hk_uuid, created_at)
    SELECT i / 25000 + 1, sha256(i::text::bytea), md5(i::text)::uuid, """
    + _AT
    + _PER_SAMPLE
    + " WHERE i %% 1000 <> 7",
)

FIGURES_SQL: LiteralString = """
INSERT INTO healthkit_daily_aggregate
    (user_id, type_id, day, total, mean, minimum, maximum, sample_count, closed, updated_at)
SELECT r.user_id, r.type_id, (r.start_at AT TIME ZONE 'UTC')::date,
       CASE WHEN t.kind = 'cumulative' THEN sum(r.value) END, CASE WHEN t.kind = 'discrete' THEN avg(r.value) END,
       CASE WHEN t.kind = 'discrete' THEN min(r.value) END, CASE WHEN t.kind = 'discrete' THEN max(r.value) END,
       count(*), false, now()
FROM healthkit_data_record r JOIN healthkit_sample_type t ON t.id = r.type_id
WHERE r.user_id BETWEEN %(first)s AND %(last)s
GROUP BY r.user_id, r.type_id, 3, t.kind
"""

# (statement that drops, statement that makes again): unique constraints and plain indexes of the two large tables.
INDEXES: LiteralString = """
SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', c.conrelid::regclass::text, c.conname),
       format('ALTER TABLE %I ADD CONSTRAINT %I %s', c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid))
FROM pg_constraint c WHERE c.contype = 'u'
 AND c.conrelid IN ('healthkit_data_record'::regclass, 'healthkit_record_fingerprint'::regclass)
UNION ALL
SELECT format('DROP INDEX %I', i.indexrelid::regclass::text), pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE NOT i.indisunique
 AND i.indrelid IN ('healthkit_data_record'::regclass, 'healthkit_record_fingerprint'::regclass)
"""
