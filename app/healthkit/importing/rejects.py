"""Keeping what could not be imported."""

from collections.abc import Sequence
from typing import Any, LiteralString

from healthkit.database import RawCursor
from healthkit.jsonb import jsonb_text
from healthkit.validating import Rejection

_INSERT: LiteralString = """
INSERT INTO healthkit_rejected_sample (chunk_id, sample_index, reason, sample)
SELECT $1, r.* FROM unnest($2::int[], $3::text[], $4::jsonb[]) r
ON CONFLICT (chunk_id, sample_index) DO UPDATE SET reason = excluded.reason
"""


def rejects_insert(
    cursor: RawCursor, *, chunk_id: int, rejections: Sequence[Rejection], samples: Sequence[Any]
) -> None:
    """Keep rejected samples of a chunk with their reasons, in one statement (none when there are none)."""
    if not rejections:
        return
    cursor.execute(
        _INSERT,
        (
            chunk_id,
            [each.index for each in rejections],
            [each.reason.value for each in rejections],
            [jsonb_text(samples[each.index]) for each in rejections],
        ),
    )
