"""What phones read: progress of an import, aggregates, anchors. Nothing here writes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection
from django.db.models import QuerySet

from backend.errors import ApiError, Code
from backend.limits import MAX_AGGREGATE_DAYS, require_text
from healthkit.models import Anchor, DailyAggregate

_PROGRESS = """
SELECT b.status, b.chunk_count, b.uploaded_count, b.done_count, b.failed_count,
       coalesce(sum(c.imported_count), 0), coalesce(sum(c.duplicate_count), 0), coalesce(sum(c.rejected_count), 0),
       coalesce(array_agg(c.chunk_index ORDER BY c.chunk_index) FILTER (WHERE c.status = 'FAILED'), '{}')
FROM healthkit_import_batch b LEFT JOIN healthkit_import_chunk c ON c.batch_id = b.id
WHERE b.id = %s AND b.user_id = %s
GROUP BY b.id
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has got; `failed_chunks` are indexes, ascending."""

    batch_id: uuid.UUID
    status: str
    chunk_count: int
    uploaded_count: int
    done_count: int
    failed_count: int
    imported_samples: int
    duplicate_samples: int
    rejected_samples: int
    failed_chunks: Sequence[int]


def progress_read(*, user_id: int, batch_id: uuid.UUID) -> Progress:
    """Progress of one of the user's imports, on any of their devices. Raises: `ApiError` NOT_FOUND."""
    with connection.cursor() as cursor:
        cursor.execute(_PROGRESS, [batch_id, user_id])
        row = cursor.fetchone()
    if row is None:
        raise ApiError(Code.NOT_FOUND, "no such import")
    return Progress(batch_id, *row)


def aggregates_read(*, user_id: int, type_identifier: str, from_day: date, to_day: date) -> QuerySet[DailyAggregate]:
    """The user's days of one type, both ends included, ascending. Raises: `ApiError` BAD_REQUEST."""
    require_text(type_identifier, name="type")
    if not 0 <= (to_day - from_day).days < MAX_AGGREGATE_DAYS:
        raise ApiError(Code.BAD_REQUEST, f"toDay: expected fromDay or up to {MAX_AGGREGATE_DAYS - 1} days later")
    return DailyAggregate.objects.filter(
        user_id=user_id, type__identifier=type_identifier, day__range=(from_day, to_day)
    ).order_by("day")


def anchors_read(*, device_id: int) -> dict[str, str]:
    """The device's current anchor of each type that has one, by type identifier."""
    return dict(
        Anchor.objects.filter(device_id=device_id).order_by("type_identifier").values_list("type_identifier", "value")
    )
