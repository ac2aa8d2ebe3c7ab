"""Invariant: every daily aggregate equals a recomputation from the records, and there is one for each day with records.

The recomputation (`recomputation.py`) follows docs/aggregates.md and shares nothing with the app. Its input are
the records that are there, and with retention the acknowledged samples that were cleaned: their days are closed and
keep their figures. Doubles are compared with a relative tolerance of 1e-9.

Cannot see: an error that text, app and recomputation share; the golden examples are for that.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.recomputation import recompute
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

_FACTS = """
CREATE OR REPLACE TEMP VIEW facts AS
SELECT r.user_id, r.type, t.kind, r.source, coalesce(d.precedence, 3) AS precedence, r.start_ms, r.end_ms, r.value,
       r.category
FROM records r JOIN types t ON t.identifier = r.type LEFT JOIN sources d ON d.id = r.source_id
UNION ALL
SELECT user_id, any_value(c.type), any_value(kind), any_value(source), min(precedence), any_value(start_ms),
       any_value(end_ms), any_value(value), any_value(category)
FROM (SELECT m.nk, m.user_id, m.type, t.kind, m.source, m.start_ms, m.end_ms, m.value, m.category,
             CASE m.source_kind WHEN 'watch' THEN 1 WHEN 'phone' THEN 2 ELSE 3 END AS precedence
      FROM misses m JOIN types t ON t.identifier = m.type WHERE m.fate = 'cleaned') c
GROUP BY user_id, nk
"""
_DIFFERENT = """
SELECT u.user, user_id, type, day, a.sample_count, e.sample_count,
       concat_ws(', ', CASE WHEN a.sample_count IS DISTINCT FROM e.sample_count THEN 'count' END,
                    CASE WHEN is_off(a.total, e.total) THEN 'total' END,
                    CASE WHEN is_off(a.mean, e.mean) THEN 'mean' END,
                    CASE WHEN is_off(a.minimum, e.minimum) THEN 'minimum' END,
                    CASE WHEN is_off(a.maximum, e.maximum) THEN 'maximum' END) AS fields
FROM aggregates a FULL JOIN expected_aggregates e USING (user_id, type, day) LEFT JOIN users u USING (user_id)
WHERE fields <> '' ORDER BY u.user, type, day
"""
# One macro for the comparison: both null, or both there and within the tolerance.
_IS_OFF = """
CREATE OR REPLACE TEMP MACRO is_off(a, b) AS
    (a IS NULL) <> (b IS NULL) OR coalesce(abs(a - b) > 1e-9 * greatest(abs(a), abs(b), 1e-12), false)
"""


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Each (user, type, day) whose figures differ, with the fields that do. Figures are health values: not named."""
    settle(evidence)
    tables = evidence.tables
    tables.execute(_FACTS)
    tables.execute(_IS_OFF)
    recompute(tables)
    return tuple(
        named(
            Kind.WRONG_AGGREGATE,
            [
                (
                    f"{type_} of {user or f'user {user_id}'} on {day}: {fields} differ from a recomputation "
                    f"({seen or 0} samples counted, {wanted or 0} there)",
                    {"user": user, "user_id": user_id, "type": type_, "day": day},
                )
                for user, user_id, type_, day, seen, wanted, fields in evidence.rows(_DIFFERENT)
            ],
        )
    )
