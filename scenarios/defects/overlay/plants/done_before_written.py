"""A chunk is imported in two transactions: its state and the counters as far as they are known, then records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

USER_LOCK = "SELECT 1 FROM accounts_user WHERE id = $1 FOR NO KEY UPDATE"
COUNT = """
UPDATE healthkit_import_chunk SET imported_count = $2, duplicate_count = $3, rejected_count = $4 WHERE id = $1
"""


def _finish_first(transaction: Any) -> None:
    def chunk_import(raw: Any, claim: Any, classified: Any, samples: Sequence[Any]) -> Any:
        context = claim.context
        with raw.transaction():
            finish = transaction.raw_cursor(raw)
            known = (len(classified.accepted), classified.duplicate_count, len(classified.rejected))
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
