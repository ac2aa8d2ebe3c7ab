"""Daily aggregates, recomputed for touched days from the records (docs/aggregates.md).

Call `days_recompute` in a statement after the one that inserted: a statement does not see rows that it inserts, and
two transactions that compute at once each miss the other's. The caller holds the user's row.
"""

from collections.abc import Sequence
from datetime import date
from typing import LiteralString

from healthkit.database import RawCursor
from healthkit.models.sample_type import SampleKind

# The records of the days, each with its day. The range that the index serves is wider than the day by the largest
# change of an offset, because a local midnight may not exist or come twice; the local date decides.
_OF_DAYS: LiteralString = """
WITH touched AS (
    SELECT day,
           (day::timestamp AT TIME ZONE $3) - interval '3 hours' AS from_at,
           ((day + 1)::timestamp AT TIME ZONE $3) + interval '3 hours' AS to_at
    FROM unnest($4::date[]) AS day
), of_day AS MATERIALIZED (
    SELECT touched.day, r.* FROM touched CROSS JOIN LATERAL (
        SELECT source_id, start_at, end_at, value, category, start_at AT TIME ZONE $3 AS local
        FROM healthkit_data_record
        WHERE user_id = $1 AND type_id = $2
"""

# OFFSET 0 keeps the planner from joining the whole history of the user before it looks at days.
_BY_START: LiteralString = """
          AND start_at >= touched.from_at AND start_at < touched.to_at
        OFFSET 0) r
    WHERE r.local::date = touched.day
)
"""

# A sleep sample belongs to the day of its end, and no sample is longer than 7 days.
_BY_END: LiteralString = """
          AND start_at >= touched.from_at - interval '7 days' AND start_at < touched.to_at
        OFFSET 0) r
    WHERE (r.end_at AT TIME ZONE $3)::date = touched.day
)
"""

_UPSERT: LiteralString = """
INSERT INTO healthkit_daily_aggregate
       (user_id, type_id, day, total, mean, minimum, maximum, sample_count, closed, updated_at)
SELECT $1, $2, touched.day, f.total, f.mean, f.minimum, f.maximum, f.sample_count, false, clock_timestamp()
FROM touched JOIN figures f ON f.day = touched.day
ON CONFLICT (user_id, type_id, day) DO UPDATE
SET total = excluded.total, mean = excluded.mean, minimum = excluded.minimum, maximum = excluded.maximum,
    sample_count = excluded.sample_count, updated_at = excluded.updated_at
WHERE NOT healthkit_daily_aggregate.closed
"""

# An hour is a wall hour and its offset, so the hour that comes twice is two. Its best source: lowest precedence, then
# lowest identifier by code point.
_CUMULATIVE: LiteralString = """
, by_source AS (
    SELECT d.day, date_trunc('hour', d.local) AS hour, d.local - (d.start_at AT TIME ZONE 'UTC') AS utc_offset,
           d.source_id, sum(d.value) AS total, count(*) AS sample_count
    FROM of_day d GROUP BY 1, 2, 3, 4
), by_hour AS (
    SELECT DISTINCT ON (b.day, b.hour, b.utc_offset) b.day, b.total,
           sum(b.sample_count) OVER (PARTITION BY b.day, b.hour, b.utc_offset) AS sample_count
    FROM by_source b JOIN healthkit_data_source s ON s.id = b.source_id
    ORDER BY b.day, b.hour, b.utc_offset, s.precedence, s.identifier COLLATE "C"
), figures AS (
    SELECT day, sum(total) AS total, NULL::float8 AS mean, NULL::float8 AS minimum, NULL::float8 AS maximum,
           sum(sample_count)::int AS sample_count
    FROM by_hour GROUP BY day
)
"""

_DISCRETE: LiteralString = """
, figures AS (
    SELECT day, NULL::float8 AS total, avg(value) AS mean, min(value) AS minimum, max(value) AS maximum,
           count(*)::int AS sample_count
    FROM of_day GROUP BY day
)
"""

# Each interval adds what reaches beyond every earlier one: the length of the union.
_SLEEP: LiteralString = """
, asleep AS (
    SELECT day, start_at, end_at,
           max(end_at) OVER (PARTITION BY day ORDER BY start_at, end_at
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered_to
    FROM of_day WHERE category LIKE 'asleep%'
), united AS (
    SELECT day, sum(extract(epoch FROM greatest(end_at - greatest(start_at, covered_to), interval '0'))) AS total
    FROM asleep GROUP BY day
), figures AS (
    SELECT d.day, coalesce(max(u.total), 0)::float8 AS total, NULL::float8 AS mean, NULL::float8 AS minimum,
           NULL::float8 AS maximum, count(*)::int AS sample_count
    FROM of_day d LEFT JOIN united u ON u.day = d.day GROUP BY d.day
)
"""

_CATEGORY: LiteralString = """
, figures AS (
    SELECT day, NULL::float8 AS total, NULL::float8 AS mean, NULL::float8 AS minimum, NULL::float8 AS maximum,
           count(*)::int AS sample_count
    FROM of_day GROUP BY day
)
"""

_STATEMENTS: dict[str, LiteralString] = {
    SampleKind.CUMULATIVE.value: _OF_DAYS + _BY_START + _CUMULATIVE + _UPSERT,
    SampleKind.DISCRETE.value: _OF_DAYS + _BY_START + _DISCRETE + _UPSERT,
    SampleKind.SLEEP.value: _OF_DAYS + _BY_END + _SLEEP + _UPSERT,
    SampleKind.CATEGORY.value: _OF_DAYS + _BY_START + _CATEGORY + _UPSERT,
}


def days_recompute(
    cursor: RawCursor, *, user_id: int, type_id: int, kind: str, zone: str, days: Sequence[date]
) -> None:
    """Write the aggregates of the local `days` of one user and type, in one statement; closed days stay."""
    cursor.execute(_STATEMENTS[kind], (user_id, type_id, zone, list(days)))
