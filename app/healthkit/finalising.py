"""Counting a finished chunk in its batch; whoever counts the last one finalises, in the same UPDATE.

The batch's row lock makes counters exact: a second transaction that counts waits, and sees the first one's count.
That is why finalisation happens once, and cannot be forgotten between a commit and a later statement.
"""

import logging
from typing import LiteralString
from uuid import UUID

from backend.logs import log_event
from healthkit.anchors import anchor_advance
from healthkit.database import RawCursor

_LOGGER = logging.getLogger(__name__)

# What a batch becomes when `done` and `failed` chunks are counted: for PROCESSING all its chunks, for ABANDONED those
# that had arrived.
BATCH_COUNTED: LiteralString = """
    done_count = b.done_count + counted.done, failed_count = b.failed_count + counted.failed,
    moved_at = clock_timestamp(),
    status = CASE
        WHEN b.status <> 'PROCESSING' OR b.done_count + b.failed_count + 1 < b.uploaded_count THEN b.status
        WHEN b.done_count + counted.done = 0 THEN 'FAILED'
        ELSE 'COMPLETED' END,
    finished_at = CASE
        WHEN b.done_count + b.failed_count + 1 < b.uploaded_count THEN NULL ELSE clock_timestamp() END
"""

_LEFT_OVER: LiteralString = """
UPDATE healthkit_import_batch b
SET status = CASE WHEN b.status = 'ABANDONED' THEN b.status WHEN b.done_count = 0 THEN 'FAILED' ELSE 'COMPLETED' END,
    finished_at = clock_timestamp(), moved_at = clock_timestamp()
FROM (SELECT id FROM healthkit_import_batch
      WHERE finished_at IS NULL AND done_count + failed_count >= uploaded_count
        AND (status = 'ABANDONED' OR (status = 'PROCESSING' AND uploaded_count = chunk_count))
      FOR NO KEY UPDATE SKIP LOCKED) counted
WHERE b.id = counted.id
RETURNING b.id, b.status, b.device_id, b.type_identifier
"""


def batch_report(*, batch_id: UUID, status: str) -> None:
    """Say that a batch ended; after the commit."""
    level = logging.WARNING if status != "COMPLETED" else logging.INFO
    log_event(_LOGGER, "batch_finished", f"batch {status}", level=level, batch=str(batch_id), status=status)


def batches_finalise(cursor: RawCursor) -> list[tuple[UUID, str]]:
    """End open batches whose every chunk is counted already; (id, state) of each. A net: normally there are none.

    What somebody else is counting at this moment is left to them. Anchors are locked in the order of their keys.
    """
    rows = cursor.execute(_LEFT_OVER).fetchall()
    for batch_id, *_ in sorted(rows, key=lambda row: (row[2], row[3])):
        anchor_advance(cursor, batch_id=batch_id)
    return [(row[0], row[1]) for row in rows]
