"""Time that passes: everything processed so far is made older in Postgres, as if the lab had waited."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import LiteralString

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

_LOOK: LiteralString = """
SELECT count(*), coalesce(max(extract(day FROM clock_timestamp() - created_at)), 0)::int FROM healthkit_data_record
"""
_RECORDS: LiteralString = """
UPDATE healthkit_data_record SET created_at = created_at - %s * interval '1 day' WHERE id %% %s = 0
"""
_CHUNKS: LiteralString = """
UPDATE healthkit_import_chunk SET finished_at = finished_at - %s * interval '1 day'
WHERE status = 'DONE' AND id %% %s = 0
"""


@dataclass(frozen=True, slots=True)
class AgeRecords:
    """Processed records and finished chunks become `days` older, or one in `every` of them by their ids.

    Nothing heals it: time does not go back.
    Blast radius: whatever retention removes then. Readings are of the records, some of which may be removed at once.
    """

    days: int
    every: int = 1
    target: str = "postgres"
    source: str = "age of the records in Postgres, past the links"
    bite_timeout_s: float = 5.0
    name: str = "age_records"

    def look(self, stack: Stack) -> str:
        """How many records there are, and the age of the oldest."""
        with lab_session(stack.dsn()) as session:
            count, days = session.execute(_LOOK).fetchall()[0]
        return f"{count} records, the oldest processed {days} days ago"

    def inject(self, stack: Stack) -> None:
        """Move their stamps, all at once."""
        with lab_session(stack.dsn(), autocommit=False) as session:
            session.execute(_CHUNKS, (self.days, self.every))
            session.execute(_RECORDS, (self.days, self.every))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Older by that much, or some are gone already."""
        (count, age), (count_now, age_now) = _figures(before), _figures(now)
        return count > 0 and (age_now >= age + self.days or count_now < count)

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        """Postgres is as it was."""
        return True


def _figures(text: str) -> tuple[int, int]:
    count, days = re.findall(r"\d+", text)
    return int(count), int(days)
