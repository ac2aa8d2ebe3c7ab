"""How Postgres would run a query: whether it is one that reads an index, not the whole table."""

from collections.abc import Mapping, Sequence

from django.db import connection, transaction

from healthkit.database import raw_connection, raw_cursor

Parameter = str | int | float | list[str]


def plan(sql: str, parameters: Mapping[str, Parameter] | Sequence[object]) -> str:
    """The plan in one line, as for tables too large to be read whole. A query has parameters as $1 or as %(name)s."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # an empty table would be read whole
        if isinstance(parameters, Mapping):
            cursor.execute(f"EXPLAIN {sql}", parameters)
            rows = cursor.fetchall()
        else:
            rows = raw_cursor(raw_connection()).execute(f"EXPLAIN {sql}", parameters).fetchall()
    return " ".join(line.strip() for (line,) in rows)
