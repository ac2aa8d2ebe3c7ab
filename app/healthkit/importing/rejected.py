"""Importing rejected samples after all: their type has got a row by now, a conflict was settled by hand, and so on.

The chunk stays DONE; its counters and its rejected rows change in the same transaction as the records.
"""

from typing import LiteralString
from uuid import UUID

from healthkit.database import RawCursor, fetch_all, raw_connection, raw_cursor
from healthkit.importing.chunk import samples_validate
from healthkit.importing.context import CONTEXT_COLUMNS, context_from
from healthkit.importing.transaction import samples_insert, written_recompute
from healthkit.jsonb import jsonb_value

_CHUNKS: LiteralString = """
SELECT DISTINCT c.id FROM healthkit_import_chunk c
JOIN healthkit_rejected_sample r ON r.chunk_id = c.id AND r.resolved_at IS NULL
WHERE c.batch_id = $1 AND c.status = 'DONE' ORDER BY c.id
"""

_USER_LOCK: LiteralString = """
SELECT u.id FROM accounts_user u
WHERE u.id = (SELECT b.user_id FROM healthkit_import_batch b JOIN healthkit_import_chunk c ON c.batch_id = b.id
              WHERE c.id = $1)
FOR NO KEY UPDATE
"""

_CONTEXT: LiteralString = (
    "SELECT"
    + CONTEXT_COLUMNS
    + """
FROM healthkit_import_chunk c
JOIN healthkit_import_batch b ON b.id = c.batch_id
JOIN accounts_user u ON u.id = b.user_id
LEFT JOIN healthkit_sample_type t ON t.identifier = b.type_identifier
WHERE c.id = $1
"""
)

_REJECTED: LiteralString = """
SELECT sample_index, sample FROM healthkit_rejected_sample WHERE chunk_id = $1 AND resolved_at IS NULL
ORDER BY sample_index
"""

_RESOLVE: LiteralString = """
UPDATE healthkit_rejected_sample SET resolved_at = clock_timestamp()
WHERE chunk_id = $1 AND sample_index = ANY($2::int[]) AND resolved_at IS NULL
"""

_RECOUNT: LiteralString = """
UPDATE healthkit_import_chunk
SET imported_count = imported_count + $2, duplicate_count = duplicate_count + $3,
    rejected_count = rejected_count - $2 - $3
WHERE id = $1
"""


def rejected_reimport(batch_id: UUID) -> int:
    """Try the rejected samples of a batch's DONE chunks again; the number of chunks of which any was resolved."""
    raw = raw_connection()
    resolved = 0
    for (chunk_id,) in fetch_all(_CHUNKS, batch_id):
        with raw.transaction():
            resolved += _chunk_reimport(raw_cursor(raw), chunk_id)
    return resolved


def _chunk_reimport(cursor: RawCursor, chunk_id: int) -> bool:
    cursor.execute(_USER_LOCK, (chunk_id,))
    context = context_from(cursor.execute(_CONTEXT, (chunk_id,)).fetchall()[0])
    samples = [(index, jsonb_value(text)) for index, text in cursor.execute(_REJECTED, (chunk_id,)).fetchall()]
    classified = samples_validate(context, samples)
    written = samples_insert(cursor, context=context, accepted=classified.accepted)
    written_recompute(cursor, context=context, written=written)
    rejected = {each.index for each in (*classified.rejected, *written.conflicts)}
    resolved = [index for index, _ in samples if index not in rejected]
    if resolved:
        cursor.execute(_RESOLVE, (chunk_id, resolved))
        duplicates = classified.duplicate_count + written.duplicate_count
        cursor.execute(_RECOUNT, (chunk_id, written.imported_count, duplicates))
    return bool(resolved)
