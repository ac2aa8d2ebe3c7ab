"""Invariant: a valid sample is not rejected, a bad one is not imported but kept as sent with the expected reason.

*Valid* and *duplicate* samples may have no rejected row. *Bad* ones need one with their reason. Of all contents under
one UUID (a *conflict* and the sample it was made from) exactly one is stored and each other is rejected with
`uuid_conflict`; which one wins depends on what arrived first. The rejected row must hold the raw sample as sent.

Cannot see: whether a bad sample was imported under another UUID and with another tuple; that is `unexpected`.
"""

from __future__ import annotations

import json
from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import NAMED, named
from harness.evidence.evidence import Evidence

_WRONGLY_REJECTED = """
SELECT s.sample, s.batch_key, s.idx, s.position, s.mark, j.reason, count(*) OVER () AS total
FROM rejections j JOIN samples s USING (batch_key, idx, position)
WHERE s.mark IN ('valid', 'duplicate')
  -- Beaten by a conflict that arrived first: then that one must be stored.
  AND NOT (j.reason = 'uuid_conflict' AND EXISTS (
      SELECT 1 FROM samples o JOIN fates f ON f.rid = o.rowid
      WHERE o.uuid = s.uuid AND o.user_id = s.user_id AND o.nk <> s.nk AND f.fate = 'present'))
  -- Too late for a day that retention has closed (the local day is at most one away from UTC's). What is known already
  -- is a duplicate, however closed its day.
  AND NOT ($may_clean AND s.mark = 'valid' AND j.reason = 'day_closed' AND EXISTS (
      SELECT 1 FROM aggregates a WHERE a.user_id = s.user_id AND a.type = s.type AND a.closed
        AND abs(date_diff('day', a.day, CAST(epoch_ms(s.end_ms) AS DATE))) <= 1))
ORDER BY s.sample LIMIT $limit
"""
_WRONG_REASON = """
SELECT s.sample, s.batch_key, s.idx, s.position, s.reason, j.reason, count(*) OVER () AS total
FROM rejections j JOIN samples s USING (batch_key, idx, position)
WHERE s.mark IN ('bad', 'conflict') AND j.reason IS DISTINCT FROM s.reason ORDER BY s.sample LIMIT $limit
"""
_BAD_IMPORTED = """
SELECT s.sample, s.batch_key, s.idx, s.position, s.reason, r.id, count(*) OVER () AS total
FROM samples s JOIN strangers r
  ON r.user_id = s.user_id AND (r.hk_uuid = s.uuid OR (r.nk = s.nk AND r.start_ms = s.start_ms))
WHERE s.mark = 'bad'
ORDER BY s.sample LIMIT $limit
"""
_BOTH_STORED = """
SELECT s.sample, s.batch_key, s.idx, s.position, s.reason, o.sample, count(*) OVER () AS total
FROM samples s JOIN fates f ON f.rid = s.rowid
JOIN samples o ON o.user_id = s.user_id AND o.uuid = s.uuid AND o.nk <> s.nk AND o.mark <> 'conflict'
JOIN fates g ON g.rid = o.rowid
WHERE s.mark = 'conflict' AND f.fate = 'present' AND g.told = 'OK' AND g.rejected_as IS DISTINCT FROM 'uuid_conflict'
  AND g.fate <> 'given_up'
ORDER BY s.sample LIMIT $limit
"""
_KEPT = """
SELECT s.sample, s.batch_key, s.idx, s.position, s.sent, r.sample
FROM rejected r JOIN chunks c ON c.id = r.chunk_id JOIN batches b ON b.id = c.batch
JOIN samples s ON s.batch_key = b.batch_key AND s.idx = c.idx AND s.position = r.position
WHERE s.sent IS NOT NULL AND s.sent <> r.sample::VARCHAR
"""
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Wrongly rejected, wrongly imported, and rejected rows that do not hold what was sent."""
    settle(evidence)
    return (
        *_of(evidence, Kind.WRONGLY_REJECTED, _WRONGLY_REJECTED, "{5} sample {0} was rejected as {6}"),
        *_of(evidence, Kind.WRONGLY_REJECTED, _WRONG_REASON, "sample {0} must be rejected as {5}, not as {6}"),
        *_of(evidence, Kind.WRONGLY_IMPORTED, _BAD_IMPORTED, "sample {0} ({5}) was imported as record {6}"),
        *_of(evidence, Kind.WRONGLY_IMPORTED, _BOTH_STORED, "sample {0} ({5}) was imported over {6}"),
        *_altered(evidence),
    )


def _of(evidence: Evidence, kind: Kind, sql: str, words: str) -> list[Anomaly]:
    parameters = {"limit": NAMED, "may_clean": evidence.expectations.may_clean}
    rows = evidence.rows(sql, {name: value for name, value in parameters.items() if f"${name}" in sql})
    found: list[_Found] = [
        (
            words.format(row[0], row[1], row[2], row[3], "", row[4], row[5]),
            {"sample": row[0], "batch_key": row[1], "chunk": row[2], "position": row[3]},
        )
        for row in rows
    ]
    return named(kind, found, total=rows[0][-1] if rows else 0)


def _altered(evidence: Evidence) -> list[Anomaly]:
    found: list[_Found] = []
    total = 0
    for sample, key, idx, position, sent, kept in evidence.stream(_KEPT):
        if _parsed(sent) != _unwrapped(_parsed(kept)):
            total += 1
            if total <= NAMED:
                ids = {"sample": sample, "batch_key": key, "chunk": idx, "position": position}
                found.append((f"the rejected row of {sample} does not hold the sample that was sent", ids))
    return named(Kind.WRONG_RECORD, found, total=total)


def _unwrapped(kept: Any) -> Any:
    """What a jsonb column cannot hold (NUL, for one) is kept as text: {"raw": "<the value as JSON>"}."""
    is_wrapped = isinstance(kept, dict) and kept.keys() == {"raw"}
    return _parsed(kept["raw"]) if is_wrapped else kept


def _parsed(text: str) -> Any:
    """A jsonb column writes 1e100 out as an integer of so many digits; what was sent is a float64."""
    return json.loads(text, parse_int=float)
