"""Daily aggregates, computed anew in DuckDB from the text of docs/aggregates.md; no line is shared with the app.

A sample belongs to the local day and hour of its start (sleep: of its end), in the user's zone, intervals half-open.
Cumulative: in each local hour (wall hour and offset, so a repeated hour counts twice) the best source present there,
lowest precedence, then lowest identifier, sums up; a day is the sum of its hours. Discrete: mean, minimum, maximum.
Sleep: the length of the union of all asleep stages that belong to the day, in seconds. All: the number of records.
"""

from __future__ import annotations

import duckdb

from harness.checkers.zones import offsets
from harness.devices.types import ASLEEP_STAGES
from harness.evidence.tables import insert_rows

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 86_400_000

# Input: table or view `facts` (user_id, type, kind, source, precedence, start_ms, end_ms, value, category),
# `users` (user_id, zone). Output: table `expected_aggregates`.
_LOCAL = f"""
CREATE OR REPLACE TEMP VIEW local_facts AS
SELECT f.*, o.offset_s, CAST(floor((f.at_ms + o.offset_s * 1000) / {MS_PER_DAY}) AS BIGINT) AS day_number,
       CAST(floor((f.at_ms + o.offset_s * 1000) / {MS_PER_HOUR}) AS BIGINT) AS hour_number
FROM (SELECT a.*, u.zone, CASE WHEN a.kind = 'sleep' THEN a.end_ms ELSE a.start_ms END AS at_ms
      FROM facts a JOIN users u USING (user_id)) f
ASOF JOIN zone_offsets o ON o.zone = f.zone AND f.at_ms >= o.from_ms
"""
# By zone: one sample from long ago costs its own zone twenty years of days, not all of them.
_SPANS = """
SELECT u.zone, min(f.start_ms), max(f.end_ms) FROM facts f JOIN users u USING (user_id)
WHERE u.zone IS NOT NULL GROUP BY u.zone ORDER BY u.zone
"""
_BASE = """
CREATE OR REPLACE TEMP TABLE day_counts AS
SELECT user_id, type, any_value(kind) AS kind, day_number, count(*) AS sample_count,
       avg(value) FILTER (kind = 'discrete') AS mean, min(value) FILTER (kind = 'discrete') AS minimum,
       max(value) FILTER (kind = 'discrete') AS maximum
FROM local_facts GROUP BY user_id, type, day_number
"""
_CUMULATIVE = """
CREATE OR REPLACE TEMP TABLE day_totals AS
WITH by_source AS (
    SELECT user_id, type, day_number, hour_number, offset_s, source, min(precedence) AS precedence, fsum(value) AS total
    FROM local_facts WHERE kind = 'cumulative' GROUP BY user_id, type, day_number, hour_number, offset_s, source
), best AS (
    -- encode(): DuckDB compares text by code point, which is what the text asks for; bytes say so.
    SELECT *, row_number() OVER (PARTITION BY user_id, type, hour_number, offset_s
                                 ORDER BY precedence, encode(source)) AS rank FROM by_source
)
SELECT user_id, type, day_number, fsum(total) AS total FROM best WHERE rank = 1 GROUP BY user_id, type, day_number
"""
_SLEEP = f"""
CREATE OR REPLACE TEMP TABLE day_sleep AS
WITH asleep AS (
    SELECT user_id, type, day_number, start_ms, end_ms,
           max(end_ms) OVER (PARTITION BY user_id, type, day_number ORDER BY start_ms, end_ms
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached_ms
    FROM local_facts WHERE kind = 'sleep' AND category IN ({", ".join(f"'{stage}'" for stage in ASLEEP_STAGES)})
)
-- What an interval adds beyond what those that began before it have already covered.
SELECT user_id, type, day_number,
       sum(greatest(0, end_ms - greatest(start_ms, coalesce(reached_ms, start_ms)))) / 1000.0 AS total
FROM asleep GROUP BY user_id, type, day_number
"""
_RESULT = """
CREATE OR REPLACE TABLE expected_aggregates AS
SELECT c.user_id, c.type, DATE '1970-01-01' + CAST(c.day_number AS INTEGER) AS day,
       CASE c.kind WHEN 'cumulative' THEN t.total WHEN 'sleep' THEN coalesce(s.total, 0.0) END AS total,
       c.mean, c.minimum, c.maximum, c.sample_count
FROM day_counts c LEFT JOIN day_totals t USING (user_id, type, day_number)
LEFT JOIN day_sleep s USING (user_id, type, day_number)
"""


def recompute(tables: duckdb.DuckDBPyConnection) -> None:
    """Fill `expected_aggregates` from `facts` and `users` (see above); both may be views."""
    tables.execute("CREATE OR REPLACE TEMP TABLE zone_offsets (zone VARCHAR, from_ms BIGINT, offset_s INTEGER)")
    found = [
        (each.zone, each.from_ms, each.offset_s)
        for zone, from_ms, to_ms in tables.execute(_SPANS).fetchall()
        for each in offsets(zone, from_ms=from_ms, to_ms=to_ms)
    ]
    insert_rows(tables, "zone_offsets", found)
    for statement in (_LOCAL, _BASE, _CUMULATIVE, _SLEEP, _RESULT):
        tables.execute(statement)
