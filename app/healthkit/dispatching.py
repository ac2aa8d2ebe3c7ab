"""Who is published when: only a change of state dispatches, and each dispatch is a compare-and-set on the row.

A chunk is *owed* a message while `next_dispatch_at` is null or past. Dispatching moves it ahead by one sweep, then by
twice that, and so on up to a cap; a change of state sets it back to null. The message itself is sent after the
commit and may be lost: the row is then owed again. Lower indexes go first, and a batch never has more chunks claimed
or on their way than slots (CHUNK_FANOUT).
"""

from typing import LiteralString
from uuid import UUID

from backend.env import config
from backend.publish import publish
from healthkit.database import execute, fetch_all

BATCH_TASK = "healthkit.import_batch"
CHUNK_TASK = "healthkit.import_chunk"

# The first of the batch's chunks that may run and are owed a message, as far as slots are free; marked as dispatched.
# Chosen before they are locked: who finds one locked by a twin takes no later one in its place.
_CLAIM_DISPATCH: LiteralString = """
WITH busy AS (
    SELECT count(*) AS slots FROM healthkit_import_chunk
    WHERE batch_id = $1 AND status = 'PENDING' AND (claim_token IS NOT NULL OR next_dispatch_at > clock_timestamp())
), candidate AS (
    SELECT c.id FROM healthkit_import_chunk c
    JOIN healthkit_import_batch b ON b.id = c.batch_id AND b.status IN ('PROCESSING', 'ABANDONED')
    WHERE c.batch_id = $1 AND c.status = 'PENDING' AND c.claim_token IS NULL
      AND (c.next_attempt_at IS NULL OR c.next_attempt_at <= clock_timestamp())
      AND (c.next_dispatch_at IS NULL OR c.next_dispatch_at <= clock_timestamp())
    ORDER BY c.chunk_index
    LIMIT (SELECT greatest($2::int - slots, 0) FROM busy)
), owed AS (
    SELECT id FROM healthkit_import_chunk
    WHERE id IN (SELECT id FROM candidate) AND status = 'PENDING' AND claim_token IS NULL
      AND (next_dispatch_at IS NULL OR next_dispatch_at <= clock_timestamp())
    FOR UPDATE SKIP LOCKED
)
UPDATE healthkit_import_chunk c
SET dispatched_at = clock_timestamp(), dispatch_count = c.dispatch_count + 1,
    next_dispatch_at = clock_timestamp() + least($3 * power(2, least(c.dispatch_count, 20)), $4) * interval '1 second'
FROM owed WHERE c.id = owed.id
RETURNING c.chunk_index
"""

_UNSENT: LiteralString = """
UPDATE healthkit_import_chunk SET next_dispatch_at = clock_timestamp() + $3 * interval '1 second', dispatch_count = 0
WHERE batch_id = $1 AND chunk_index = $2 AND status = 'PENDING' AND claim_token IS NULL
"""


def chunks_dispatch(batch_id: UUID | str) -> int:
    """Publish the batch's next chunks, as far as slots are free; the number published. Call it after a commit."""
    settings = config()
    rows = fetch_all(
        _CLAIM_DISPATCH, batch_id, settings.chunk_fanout, settings.sweep_interval_s, settings.claim_timeout_s
    )
    return sum(chunk_publish(batch_id=batch_id, chunk_index=index) for (index,) in sorted(rows))


def chunk_publish(*, batch_id: UUID | str, chunk_index: int) -> bool:
    """Send the message of a chunk that is marked as dispatched; False when it may not have arrived.

    Then the row is owed again at the next sweep, without the backoff of a message that was sent.
    """
    ids = {"batch": str(batch_id), "chunk": str(chunk_index)}
    is_sent = publish(CHUNK_TASK, (str(batch_id), chunk_index), ids=ids)
    if not is_sent:
        chunk_unsent(batch_id=batch_id, chunk_index=chunk_index)
    return is_sent


def chunk_unsent(*, batch_id: UUID | str, chunk_index: int) -> None:
    """Owe a dispatched chunk its message again, one sweep from now."""
    execute(_UNSENT, batch_id, chunk_index, config().sweep_interval_s)
