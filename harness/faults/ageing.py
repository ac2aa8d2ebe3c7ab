"""Time that passes: everything processed so far is made older in Postgres, as if the lab had waited."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg
from psycopg import sql

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

BATCHES: Final = "healthkit_import_batch"
CHUNKS: Final = "healthkit_import_chunk"
NOT_STAMPS: Final = ("start_at", "end_at")
"""When a sample was measured, which no passing of time changes."""

_LOOK: LiteralString = """
SELECT count(*), coalesce(max(extract(day FROM clock_timestamp() - created_at)), 0)::int FROM healthkit_data_record
"""
_LOOK_AT_BATCH: LiteralString = """
SELECT count(*), coalesce(max(extract(day FROM clock_timestamp() - created_at)), 0)::int FROM healthkit_import_chunk
WHERE batch_id = %s
"""
_STAMPS: LiteralString = """
SELECT c.table_name, c.column_name FROM information_schema.columns c
WHERE c.table_schema = current_schema() AND starts_with(c.table_name, 'healthkit_')
  AND c.data_type = 'timestamp with time zone' AND c.column_name <> ALL (%s)
ORDER BY c.table_name, c.column_name
"""
_WITH_NUMBER: LiteralString = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = current_schema() AND column_name = %s AND data_type IN ('bigint', 'integer')
"""


@dataclass(frozen=True, slots=True)
class AgeRecords:
    """All that imports have stored becomes `days` older, or one in `every` of them by their ids, or not `but_user`'s.

    Every stamp of every table of the imports, so that whatever an app goes by has grown old; of what belongs to a user
    by way of other tables (chunks) everybody's. Rows that are not numbered
    (batches) only when all are to grow old. Nothing heals it: time does not go back.
    Blast radius: whatever retention removes then. Readings are of the records, some of which may be removed at once.
    """

    days: int
    every: int = 1
    but_user: int | None = None
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
            numbered, owned = (
                {str(table) for (table,) in session.execute(_WITH_NUMBER, (column,)).fetchall()}
                for column in ("id", "user_id")
            )
            for table, columns in _stamps(session).items():
                if table not in numbered and self.every != 1:
                    continue
                chosen = sql.SQL("id % {} = 0").format(self.every) if table in numbered else sql.SQL("true")
                if table in owned and self.but_user is not None:
                    chosen += sql.SQL(" AND user_id <> {}").format(self.but_user)
                _age(session, table, columns, days=self.days, where=chosen)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Older by that much, or some are gone already."""
        (count, age), (count_now, age_now) = _figures(before), _figures(now)
        return count > 0 and (age_now >= age + self.days or count_now < count)

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        """Postgres is as it was."""
        return True


@dataclass(frozen=True, slots=True)
class AgeBatch:
    """One batch with all its chunks becomes `days` older; its records stay as young as they are.

    Nothing heals it. Blast radius: whatever of that batch retention removes then.
    """

    batch: str
    days: int
    target: str = "postgres"
    source: str = "age of the batch's chunks in Postgres, past the links"
    bite_timeout_s: float = 5.0
    name: str = "age_batch"

    def look(self, stack: Stack) -> str:
        """How many chunks it has, and the age of the oldest."""
        with lab_session(stack.dsn()) as session:
            count, days = session.execute(_LOOK_AT_BATCH, (self.batch,)).fetchall()[0]
        return f"{count} chunks, the oldest received {days} days ago"

    def inject(self, stack: Stack) -> None:
        """Move their stamps, all at once."""
        with lab_session(stack.dsn(), autocommit=False) as session:
            stamps = _stamps(session)
            for table, key in ((CHUNKS, "batch_id"), (BATCHES, "id")):
                where = sql.SQL("{} = {}").format(sql.Identifier(key), sql.Literal(self.batch))
                _age(session, table, stamps[table], days=self.days, where=where)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Older by that much."""
        (_, age), (count_now, age_now) = _figures(before), _figures(now)
        return count_now > 0 and age_now >= age + self.days

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        """Postgres is as it was."""
        return True


def _stamps(session: psycopg.Connection[tuple[object, ...]]) -> Mapping[str, Sequence[str]]:
    """The stamps of each table of the imports."""
    found: dict[str, list[str]] = defaultdict(list)
    for table, column in session.execute(_STAMPS, (list(NOT_STAMPS),)).fetchall():
        found[str(table)].append(str(column))
    return found


def _age(
    session: psycopg.Connection[tuple[object, ...]],
    table: str,
    columns: Sequence[str],
    *,
    days: int,
    where: sql.Composable,
) -> None:
    moved = sql.SQL(", ").join(
        sql.SQL("{0} = {0} - {1} * interval '1 day'").format(sql.Identifier(each), days) for each in columns
    )
    session.execute(sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(table), moved, where))


def _figures(text: str) -> tuple[int, int]:
    count, days = re.findall(r"\d+", text)
    return int(count), int(days)
