"""The sweeper: finds what was committed and is not moving, and dispatches it again.

It needs neither beat nor broker to find work. Two sweepers at once share it: rows are taken with SKIP LOCKED and
checked again under their lock.
"""

import logging
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from backend.env import config
from backend.logs import log_event
from healthkit.database import fetch_all, raw_connection, raw_cursor
from healthkit.dispatching import chunk_publish, chunk_unsent
from healthkit.finalising import batch_report, batches_finalise
from healthkit.importing.dead_claims import dead_claims_reap

_LOGGER = logging.getLogger(__name__)
MAX_DISPATCHES = 200  # per sweep

_ABANDON: LiteralString = """
UPDATE healthkit_import_batch b
SET status = 'ABANDONED', moved_at = clock_timestamp(), next_dispatch_at = NULL
FROM (SELECT id FROM healthkit_import_batch
      WHERE status = 'PENDING' AND finished_at IS NULL AND moved_at <= clock_timestamp() - $1 * interval '1 second'
      ORDER BY moved_at LIMIT 1000 FOR UPDATE SKIP LOCKED) stale
WHERE b.id = stale.id AND b.status = 'PENDING'
RETURNING b.id, b.uploaded_count, b.chunk_count
"""

# `head`: how far the queue has got, by the dispatch times of what was finished in the last two sweeps. A message that
# was sent after that is still waiting its turn and is left alone; one that was overtaken is lost. Without any progress
# nobody can tell, and the backoff alone decides. A message sent again keeps the time of the first: when that one is the
# one to arrive, the queue has got no further, and all that waits behind it must not look overtaken.
_REDISPATCH: LiteralString = """
WITH head AS (
    SELECT max(dispatched_at) AS at FROM healthkit_import_chunk
    WHERE finished_at > statement_timestamp() - 2 * $2 * interval '1 second'
), candidate AS (
    SELECT c.id, coalesce(c.next_dispatch_at, c.next_attempt_at, c.created_at) AS since
    FROM healthkit_import_batch b
    CROSS JOIN head
    CROSS JOIN LATERAL (
        SELECT count(*) AS live FROM healthkit_import_chunk o WHERE o.batch_id = b.id AND o.claim_token IS NOT NULL
    ) busy
    CROSS JOIN LATERAL (
        SELECT * FROM healthkit_import_chunk c
        WHERE c.batch_id = b.id AND c.status = 'PENDING' AND c.claim_token IS NULL
          AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= clock_timestamp())
        ORDER BY c.chunk_index LIMIT greatest($1::int - busy.live, 0)
    ) c
    WHERE b.finished_at IS NULL AND b.status IN ('PROCESSING', 'ABANDONED')
      AND CASE
          WHEN c.dispatched_at IS NOT NULL AND c.next_dispatch_at IS NULL THEN true
          WHEN coalesce(c.next_dispatch_at, b.next_dispatch_at) > clock_timestamp() THEN false
          WHEN head.at IS NULL THEN true
          ELSE coalesce(c.dispatched_at, b.dispatched_at, c.created_at)
               < greatest(head.at, clock_timestamp() - $4 * interval '1 second') END
    ORDER BY since LIMIT $5
), owed AS (
    SELECT id FROM healthkit_import_chunk
    WHERE id IN (SELECT id FROM candidate) AND status = 'PENDING' AND claim_token IS NULL
      AND (next_dispatch_at IS NULL OR next_dispatch_at <= clock_timestamp())
    FOR UPDATE SKIP LOCKED
)
UPDATE healthkit_import_chunk c
SET dispatched_at = CASE WHEN c.dispatch_count = 0 THEN clock_timestamp() ELSE c.dispatched_at END,
    dispatch_count = c.dispatch_count + 1,
    next_dispatch_at = clock_timestamp() + least($2 * power(2, least(c.dispatch_count, 20)), $3) * interval '1 second'
FROM owed WHERE c.id = owed.id
RETURNING c.batch_id, c.chunk_index, c.id, c.dispatch_count
"""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep did."""

    taken_over: int
    abandoned: int
    finalised: int
    redispatched: int


def imports_sweep() -> Sweep:
    """One sweep: take over dead claims, abandon stale uploads, end what is counted, publish what does not move.

    Idempotent, safe to run in several processes at once. Raises: `INFRASTRUCTURE_ERRORS`.
    """
    taken_over = len(dead_claims_reap())
    abandoned = _uploads_abandon()
    finalised = _batches_finalise()
    return Sweep(taken_over, abandoned, finalised, _redispatch())


def _uploads_abandon() -> int:
    rows = fetch_all(_ABANDON, config().upload_abandon_s)
    for batch_id, uploaded, expected in rows:
        message = f"upload abandoned with {uploaded} of {expected} chunks; what arrived is imported"
        log_event(_LOGGER, "upload_abandoned", message, level=logging.WARNING, batch=str(batch_id))
    return len(rows)


def _batches_finalise() -> int:
    raw = raw_connection()
    with raw.transaction():
        ended = batches_finalise(raw_cursor(raw))
    for batch_id, status in ended:
        batch_report(batch_id=batch_id, status=status)
    return len(ended)


def _redispatch() -> int:
    settings = config()
    rows: list[tuple[UUID, int, int, int]] = [
        (row[0], row[1], row[2], row[3])
        for row in fetch_all(
            _REDISPATCH,
            settings.chunk_fanout,
            settings.sweep_interval_s,
            settings.claim_timeout_s,
            settings.visibility_timeout_s,
            MAX_DISPATCHES,
        )
    ]
    sent = 0
    for position, (batch_id, chunk_index, chunk_id, count) in enumerate(sorted(rows)):
        if not chunk_publish(batch_id=batch_id, chunk_index=chunk_index):
            # The broker is away: the others are owed at the next sweep, without another wait for each.
            for later_batch, later_index, _, _ in sorted(rows)[position + 1 :]:
                chunk_unsent(batch_id=later_batch, chunk_index=later_index)
            break
        sent += 1
        log_event(
            _LOGGER,
            "sweep_redispatched",
            f"not moving; dispatch {count} since it last changed",
            batch=str(batch_id),
            chunk=chunk_index,
            chunk_id=chunk_id,
        )
    return sent
