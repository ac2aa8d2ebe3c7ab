"""A chunk is imported in two transactions: its state and its counters, which a look beforehand tells, then its records.

They are the same in the end, so that nothing is wrong as long as nobody comes between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

USER_LOCK = "SELECT 1 FROM accounts_user WHERE id = $1 FOR NO KEY UPDATE"
LOOK = """
SELECT count(*) FILTER (WHERE is_known), count(*) FILTER (WHERE NOT is_known AND is_taken) FROM (
    SELECT EXISTS (SELECT FROM healthkit_record_fingerprint k
                   WHERE k.user_id = $1 AND k.fingerprint = i.fingerprint) AS is_known,
           EXISTS (SELECT FROM healthkit_record_fingerprint k
                   WHERE k.user_id = $1 AND k.hk_uuid = i.hk_uuid) AS is_taken
    FROM unnest($2::bytea[], $3::uuid[]) AS i(fingerprint, hk_uuid)) seen
"""
COUNT = """
UPDATE healthkit_import_chunk SET imported_count = $2, duplicate_count = $3, rejected_count = $4 WHERE id = $1
"""


def _finish_first(transaction: Any) -> None:
    def chunk_import(raw: Any, claim: Any, classified: Any, samples: Sequence[Any]) -> Any:
        context = claim.context
        with raw.transaction():
            finish = transaction.raw_cursor(raw)
            finish.execute(USER_LOCK, (context.user_id,))
            accepted = classified.accepted
            prints, uuids = [each.fingerprint for each in accepted], [each.uuid or None for each in accepted]
            [(again, conflicts)] = finish.execute(LOOK, (context.user_id, prints, uuids)).fetchall()
            known = (
                len(accepted) - again - conflicts,
                classified.duplicate_count + again,
                len(classified.rejected) + conflicts,
            )
            transaction._chunk_finish(finish, claim, known)
            ended_as, next_index = transaction._finished(finish, claim)
        with raw.transaction():
            cursor = transaction.raw_cursor(raw)
            cursor.execute(USER_LOCK, (context.user_id,))
            written = transaction.samples_insert(cursor, context=context, accepted=classified.accepted)
            rejected = classified.rejected + written.conflicts
            transaction.written_recompute(cursor, context=context, written=written)
            transaction.rejects_insert(cursor, chunk_id=context.chunk_id, rejections=rejected, samples=samples)
            duplicates = classified.duplicate_count + written.duplicate_count
            cursor.execute(COUNT, (context.chunk_id, written.imported_count, duplicates, len(rejected)))
        return transaction.Imported(written.imported_count, duplicates, len(rejected), next_index, ended_as)

    transaction.chunk_import = chunk_import


PATCHES = {"healthkit.importing.transaction": _finish_first}
