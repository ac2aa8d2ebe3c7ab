"""The import transaction: one chunk's records, fingerprints, aggregates, counters and state change together or not.

Order of locks, the same wherever several are taken: the claim's advisory lock, the user's row, records and
fingerprints, aggregates, the chunk's row, the batch's row, the anchor's advisory lock, anchors. Rows of *other* chunks
are only ever taken with SKIP LOCKED. So no two transactions wait for each other in a circle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, LiteralString

from psycopg.pq import TransactionStatus

from backend.env import config
from healthkit.aggregates import days_recompute
from healthkit.anchors import anchor_advance
from healthkit.database import RawConnection, RawCursor, raw_cursor
from healthkit.finalising import BATCH_COUNTED
from healthkit.importing.arrays import array_literal
from healthkit.importing.claim import Claim
from healthkit.importing.context import ImportContext
from healthkit.importing.rejects import rejects_insert
from healthkit.models.rejected_sample import RejectReason
from healthkit.models.sample_type import SampleKind
from healthkit.validating import Classified, Rejection, Sample, Source

# Held as long as this transaction lives: a claim whose lock is free has no holder any more. Hashed, so that a claim
# token needs no second key.
CLAIM_LOCK: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended($1::uuid::text, 0))"

# One import of a user at a time, or aggregates come out wrong. NO KEY: foreign keys to the user do not wait.
USER_LOCK: LiteralString = """
SELECT EXISTS (SELECT 1 FROM healthkit_import_chunk WHERE id = $2 AND claim_token = $3)
FROM accounts_user WHERE id = $1 FOR NO KEY UPDATE
"""

_SOURCES: LiteralString = """
INSERT INTO healthkit_data_source (user_id, identifier, name, kind, precedence)
SELECT $1, s.* FROM unnest($2::text[], $3::text[], $4::text[], $5::int[]) s
ON CONFLICT (user_id, identifier) DO UPDATE SET name = healthkit_data_source.name
RETURNING identifier, id
"""

# Fingerprints decide (they outlive records); records follow in the chunk's order, and a record that is there without
# its fingerprint is an error. What was not new is told apart: known content is a duplicate, a closed day takes nothing,
# and what is left met its UUID with other content.
_INSERT: LiteralString = """
WITH closed AS MATERIALIZED (
    SELECT day FROM healthkit_daily_aggregate
    WHERE user_id = $1 AND type_id = $2 AND closed AND day BETWEEN $12::date - 1 AND $13::date + 1
), input AS MATERIALIZED (
    SELECT s.*, (CASE WHEN $14 THEN s.end_at ELSE s.start_at END AT TIME ZONE $15)::date AS day
    FROM (SELECT substring($5::bytea FROM 32 * u.ord::int - 31 FOR 32) AS fingerprint, u.*
          FROM unnest($6::uuid[], $7::bigint[], $8::timestamptz[], $9::timestamptz[], $10::float8[], $11::text[])
               WITH ORDINALITY AS u(hk_uuid, source_id, start_at, end_at, value, category, ord)) s
), fresh AS (
    INSERT INTO healthkit_record_fingerprint (user_id, fingerprint, hk_uuid)
    SELECT $1, fingerprint, hk_uuid FROM input
    WHERE NOT EXISTS (SELECT 1 FROM closed WHERE closed.day = input.day)
    ON CONFLICT DO NOTHING
    RETURNING fingerprint
), stored AS (
    INSERT INTO healthkit_data_record
        (user_id, type_id, source_id, chunk_id, hk_uuid, start_at, end_at, value, category, unit)
    SELECT $1, $2, i.source_id, $3, i.hk_uuid, i.start_at, i.end_at, i.value, i.category, $4
    FROM input i JOIN fresh f ON f.fingerprint = i.fingerprint ORDER BY i.ord
    RETURNING start_at, end_at
), old AS (
    SELECT i.ord, CASE
        WHEN EXISTS (SELECT 1 FROM healthkit_record_fingerprint k
                     WHERE k.user_id = $1 AND k.fingerprint = i.fingerprint) THEN 'duplicate'
        WHEN EXISTS (SELECT 1 FROM closed WHERE closed.day = i.day) THEN 'day_closed'
        ELSE 'uuid_conflict' END AS verdict
    FROM input i WHERE NOT EXISTS (SELECT 1 FROM fresh f WHERE f.fingerprint = i.fingerprint)
)
SELECT (SELECT count(*) FROM stored),
       (SELECT array_agg(DISTINCT (CASE WHEN $14 THEN end_at ELSE start_at END AT TIME ZONE $15)::date) FROM stored),
       (SELECT array_agg(ord) FROM old WHERE verdict = 'uuid_conflict'),
       (SELECT array_agg(ord) FROM old WHERE verdict = 'day_closed')
"""

# Last: the chunk (guarded by the claim's token), its batch, and the mark on the chunk that this task publishes next.
_FINISH: LiteralString = (
    """
WITH finished AS (
    UPDATE healthkit_import_chunk
    SET status = 'DONE', claim_token = NULL, claim_slot = NULL, claim_expires_at = NULL, last_error = '',
        imported_count = $3, duplicate_count = $4, rejected_count = $5, finished_at = clock_timestamp()
    WHERE id = $1 AND claim_token = $2 AND status = 'PENDING'
    RETURNING batch_id, 1 AS done, 0 AS failed
), batch AS (
    UPDATE healthkit_import_batch b SET
"""
    + BATCH_COUNTED
    + """
    FROM finished counted WHERE b.id = counted.batch_id
    RETURNING b.id, b.status, b.finished_at IS NOT NULL AS has_ended
), next AS (
    SELECT n.id FROM healthkit_import_chunk n JOIN batch ON n.batch_id = batch.id
    WHERE n.id <> $1 AND n.status = 'PENDING' AND n.claim_token IS NULL
      AND (n.next_attempt_at IS NULL OR n.next_attempt_at <= clock_timestamp())
      AND (n.next_dispatch_at IS NULL OR n.next_dispatch_at <= clock_timestamp() OR $7 = 1)
    ORDER BY n.chunk_index LIMIT 1
    FOR UPDATE OF n SKIP LOCKED
), dispatched AS (
    UPDATE healthkit_import_chunk n
    SET dispatched_at = clock_timestamp(), dispatch_count = n.dispatch_count + 1,
        next_dispatch_at = clock_timestamp() + $6 * interval '1 second'
    FROM next WHERE n.id = next.id
    RETURNING n.chunk_index
)
SELECT batch.status, batch.has_ended, (SELECT chunk_index FROM dispatched) FROM batch
"""
)


class ClaimLost(Exception):
    """The claim is another's by now; the transaction was rolled back."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What a committed chunk came to; `next_index` is the chunk to publish, `ended_as` the batch's final state."""

    imported_count: int
    duplicate_count: int
    rejected_count: int
    next_index: int | None
    ended_as: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """What inserting samples came to; `conflicts` were new content that could not be taken, `days` are touched."""

    imported_count: int
    duplicate_count: int
    conflicts: list[Rejection]
    days: list[date]


def chunk_import(raw: RawConnection, claim: Claim, classified: Classified, samples: Sequence[Any]) -> Imported:
    """Import a claimed chunk in one transaction.

    Raises: `ClaimLost`; `INFRASTRUCTURE_ERRORS`; whatever the data cause. Nothing is then left behind.
    """
    cursor = raw_cursor(raw)
    try:
        _begin(raw, claim)
        imported = _write(raw, claim, classified, samples)
        cursor.execute("COMMIT")
    except BaseException:
        # Never wait for a statement that was interrupted half-way: then the connection itself is given up.
        if raw.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            cursor.execute("ROLLBACK")
        raise
    return imported


def _begin(raw: RawConnection, claim: Claim) -> None:
    """Open the transaction and take its locks, in one trip."""
    begin, claim_lock, user_lock = raw_cursor(raw), raw_cursor(raw), raw_cursor(raw)
    with raw.pipeline():
        begin.execute("BEGIN")
        claim_lock.execute(CLAIM_LOCK, (claim.token,))
        user_lock.execute(USER_LOCK, (claim.context.user_id, claim.context.chunk_id, claim.token))
    row = user_lock.fetchone()
    if row is None or not row[0]:
        raise ClaimLost("before the first write")


def _write(raw: RawConnection, claim: Claim, classified: Classified, samples: Sequence[Any]) -> Imported:
    """Insert; then aggregates, rejected samples and the guard in one trip: none of them needs another's answer."""
    written = samples_insert(raw_cursor(raw), context=claim.context, accepted=classified.accepted)
    rejected = classified.rejected + written.conflicts
    duplicate_count = classified.duplicate_count + written.duplicate_count
    finish = raw_cursor(raw)
    with raw.pipeline():
        written_recompute(raw_cursor(raw), context=claim.context, written=written)
        rejects_insert(raw_cursor(raw), chunk_id=claim.context.chunk_id, rejections=rejected, samples=samples)
        _chunk_finish(finish, claim, (written.imported_count, duplicate_count, len(rejected)))
    ended_as, next_index = _finished(finish, claim)
    return Imported(written.imported_count, duplicate_count, len(rejected), next_index, ended_as)


def samples_insert(cursor: RawCursor, *, context: ImportContext, accepted: Sequence[Sample]) -> Written:
    """Insert accepted samples; the caller holds the user's row, and recomputes the days in a later statement."""
    if not accepted or context.rule is None:
        return Written(0, 0, [], [])
    rule = context.rule
    source_ids = _sources_resolve(cursor, context, {each.source for each in accepted})
    is_sleep = rule.kind == SampleKind.SLEEP
    cursor.execute(
        _INSERT,
        (
            context.user_id,
            rule.id,
            context.chunk_id,
            rule.unit,
            b"".join([each.fingerprint for each in accepted]),
            array_literal([each.uuid or None for each in accepted]),
            array_literal([str(source_ids[each.source.identifier]) for each in accepted]),
            array_literal([each.start for each in accepted]),
            array_literal([each.end for each in accepted]),
            array_literal([each.value for each in accepted]),
            array_literal([each.category for each in accepted]),
            accepted[0].start[:10],
            max(each.end for each in accepted)[:10],
            is_sleep,
            context.zone,
        ),
    )
    row = cursor.fetchone()
    assert row is not None  # a SELECT of scalars has one row
    stored_count, days, uuid_conflicts, day_closed = row
    conflicts = [
        *(Rejection(accepted[ord_ - 1].position, RejectReason.UUID_CONFLICT) for ord_ in uuid_conflicts or ()),
        *(Rejection(accepted[ord_ - 1].position, RejectReason.DAY_CLOSED) for ord_ in day_closed or ()),
    ]
    return Written(stored_count, len(accepted) - stored_count - len(conflicts), conflicts, days or [])


def written_recompute(cursor: RawCursor, *, context: ImportContext, written: Written) -> None:
    """Recompute the days that an insert touched, in one statement (none when it touched none)."""
    if not written.days or context.rule is None:
        return
    days_recompute(
        cursor,
        user_id=context.user_id,
        type_id=context.rule.id,
        kind=context.rule.kind,
        zone=context.zone,
        days=written.days,
    )


def _sources_resolve(cursor: RawCursor, context: ImportContext, sources: set[Source]) -> dict[str, int]:
    """Row ids by identifier; only sources that the claim did not bring along cost a statement.

    Of several that are named by one identifier the one of the best precedence is kept, then the first by name.
    """
    unseen: dict[str, Source] = {}
    for each in sorted(sources, key=lambda source: (source.precedence, source.name)):
        if each.identifier not in context.source_ids:
            unseen.setdefault(each.identifier, each)
    if not unseen:
        return context.source_ids
    ordered = sorted(unseen.values())
    cursor.execute(
        _SOURCES,
        (
            context.user_id,
            [each.identifier for each in ordered],
            [each.name for each in ordered],
            [each.kind for each in ordered],
            [each.precedence for each in ordered],
        ),
    )
    return context.source_ids | dict(cursor.fetchall())


def _chunk_finish(cursor: RawCursor, claim: Claim, counts: tuple[int, int, int]) -> None:
    settings = config()
    cursor.execute(
        _FINISH, (claim.context.chunk_id, claim.token, *counts, settings.sweep_interval_s, settings.chunk_fanout)
    )


def _finished(cursor: RawCursor, claim: Claim) -> tuple[str | None, int | None]:
    """What the guard says: the batch's final state if it ended, the chunk to publish. Raises: `ClaimLost`."""
    row = cursor.fetchone()
    if row is None:
        raise ClaimLost("at the guard")
    status, has_ended, next_index = row
    if has_ended:
        anchor_advance(cursor, batch_id=claim.batch_id)
    return (status if has_ended else None), next_index
