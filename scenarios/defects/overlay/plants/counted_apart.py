"""A finished chunk is counted in its batch after the commit of its import, in a transaction of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

COUNT = """
UPDATE healthkit_import_batch b SET {counted} FROM (SELECT 1 AS done, 0 AS failed) counted WHERE b.id = $1
RETURNING b.status, b.finished_at IS NOT NULL
"""


def _count_afterwards(transaction: Any) -> None:
    real, counted = transaction.chunk_import, transaction.BATCH_COUNTED
    transaction._FINISH = transaction._FINISH.replace(counted, "    moved_at = clock_timestamp()\n")

    def chunk_import(raw: Any, claim: Any, classified: Any, samples: Sequence[Any]) -> Any:
        imported = real(raw, claim, classified, samples)
        with raw.transaction():
            cursor = transaction.raw_cursor(raw)
            status, has_ended = cursor.execute(COUNT.format(counted=counted), (claim.batch_id,)).fetchone()
            if has_ended:
                transaction.anchor_advance(cursor, batch_id=claim.batch_id)
        return dataclasses.replace(imported, ended_as=status if has_ended else None)

    transaction.chunk_import = chunk_import


PATCHES = {"healthkit.importing.transaction": _count_afterwards}
