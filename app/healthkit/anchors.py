"""Anchors: how far a device's sync of a type has got.

An anchor becomes current in the transaction that ends its batch as COMPLETED or FAILED, and only when the anchor that
the batch started from is the current one. A batch that ends before the one it follows waits: the move of the earlier
one brings it along. No value becomes current twice, so an anchor never moves back.

Batches of a device and type move their anchor one after another, under a lock: of two that end at the same moment
neither would see the other's end, and the later one would wait for a move that has been made.
"""

from typing import LiteralString
from uuid import UUID

import psycopg

from healthkit.database import RawCursor

# A statement of its own: what the next one sees begins when the lock is had, so whoever had it before is seen.
_LOCK: LiteralString = """
SELECT pg_advisory_xact_lock(hashtextextended('anchor:' || device_id || ':' || type_identifier, 0))
FROM healthkit_import_batch WHERE id = $1 AND new_anchor IS NOT NULL AND status IN ('COMPLETED', 'FAILED')
"""

# $1 the batch. First anchors are inserted, later ones compare-and-set; either hits no row when the batch must wait.
# Returns the ended batch that waited for this move, if there is one.
_ADVANCE: LiteralString = """
WITH batch AS (
    SELECT b.* FROM healthkit_import_batch b
    WHERE b.id = $1 AND b.new_anchor IS NOT NULL AND b.status IN ('COMPLETED', 'FAILED')
      AND NOT EXISTS (
          SELECT 1 FROM healthkit_anchor_move m
          WHERE m.batch_id = b.id OR (m.device_id = b.device_id AND m.type_identifier = b.type_identifier
                                      AND m.to_value = b.new_anchor))
), first AS (
    INSERT INTO healthkit_anchor (user_id, device_id, type_identifier, value, batch_id, moved_at)
    SELECT user_id, device_id, type_identifier, new_anchor, id, clock_timestamp() FROM batch
    WHERE starting_anchor IS NULL
    ON CONFLICT (device_id, type_identifier) DO NOTHING
    RETURNING batch_id
), later AS (
    UPDATE healthkit_anchor a SET value = batch.new_anchor, batch_id = batch.id, moved_at = clock_timestamp()
    FROM batch
    WHERE a.device_id = batch.device_id AND a.type_identifier = batch.type_identifier
      AND a.value = batch.starting_anchor
    RETURNING a.batch_id
)
INSERT INTO healthkit_anchor_move (device_id, type_identifier, from_value, to_value, batch_id, moved_at)
SELECT b.device_id, b.type_identifier, b.starting_anchor, b.new_anchor, b.id, clock_timestamp()
FROM batch b WHERE b.id IN (SELECT batch_id FROM first UNION ALL SELECT batch_id FROM later)
RETURNING (
    SELECT f.id FROM healthkit_import_batch f
    WHERE f.device_id = healthkit_anchor_move.device_id AND f.type_identifier = healthkit_anchor_move.type_identifier
      AND f.starting_anchor = healthkit_anchor_move.to_value AND f.new_anchor IS NOT NULL
      AND f.status IN ('COMPLETED', 'FAILED') AND f.id <> $1
      AND NOT EXISTS (
          SELECT 1 FROM healthkit_anchor_move m
          WHERE m.batch_id = f.id OR (m.device_id = f.device_id AND m.type_identifier = f.type_identifier
                                      AND m.to_value = f.new_anchor))
    ORDER BY f.finished_at, f.id LIMIT 1)
"""


def anchor_advance(cursor: RawCursor, *, batch_id: UUID) -> int:
    """Move the anchor of an ended batch, and of ended batches that waited for it; the number of moves.

    An ABANDONED batch moves none. Ends because no value becomes current twice. The caller's transaction has ended the
    batch, and takes no lock afterwards but those of further anchors, by ascending device and type.
    """
    lock, advance = (psycopg.RawCursor(cursor.connection) for _ in range(2))
    with cursor.connection.pipeline():
        lock.execute(_LOCK, (batch_id,))
        advance.execute(_ADVANCE, (batch_id,))
    moves = 0
    while (moved := advance.fetchone()) is not None:
        moves += 1
        if moved[0] is None:
            break
        advance.execute(_ADVANCE, (moved[0],))
    return moves
