"""Re-driving counts what is FAILED, and changes none of it."""

from __future__ import annotations

from typing import Any

FAILED = """
SELECT id FROM healthkit_import_chunk WHERE batch_id = $1 AND status = 'FAILED' AND ($2::bigint IS NULL OR id = $2)
"""


def _put_nothing_back(redriving: Any) -> None:
    redriving._chunks_back = lambda cursor, batch_id, chunk_id: len(
        cursor.execute(FAILED, (batch_id, chunk_id)).fetchall()
    )


PATCHES = {"healthkit.redriving": _put_nothing_back}
