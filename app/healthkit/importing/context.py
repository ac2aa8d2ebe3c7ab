"""What importing samples of a chunk needs to know beside the samples."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import orjson

from healthkit.validating import TypeRule

# For a statement over chunk c, batch b, user u and, where the type has a row, type t.
CONTEXT_COLUMNS: LiteralString = """
    c.id, b.user_id, b.type_identifier, u.time_zone, t.id, t.kind, t.unit, t.allowed_values,
    (SELECT jsonb_object_agg(s.identifier, s.id) FROM healthkit_data_source s WHERE s.user_id = b.user_id),
    clock_timestamp()
"""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """Whose samples, of which type, in which zone; `rule` is None for a type without a row, `now` the database's."""

    chunk_id: int
    user_id: int
    type_identifier: str
    zone: str
    rule: TypeRule | None
    source_ids: dict[str, int]
    now: datetime


def context_from(row: tuple[Any, ...]) -> ImportContext:
    """Read the values of `CONTEXT_COLUMNS`."""
    chunk_id, user_id, type_identifier, zone, type_id, kind, unit, allowed, source_ids, now = row
    rule = None
    if type_id is not None:
        values = None if allowed is None else orjson.loads(allowed)
        rule = TypeRule(type_id, kind, unit, None if values is None else frozenset(values))
    known_sources = {} if source_ids is None else orjson.loads(source_ids)
    return ImportContext(chunk_id, user_id, type_identifier, zone, rule, known_sources, now)
