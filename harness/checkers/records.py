"""Invariant: a stored record says what was sent: value at full float64, times, unit, category, UUID, and its source.

A record that matches an attempted sample by natural tuple is right in all those fields; beyond it the UUID must be one
that was sent with this tuple, and the source must be its user's own and have a name and the kind that were sent for it,
and the kind's precedence. A record with another content under a sample's UUID, or at its chunk, time and source, is
*wrong*.

Cannot see: which of several names sent for one source is the right one (the display name is not part of a sample).
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import NAMED, named
from harness.evidence.evidence import Evidence

_WRONG = """
SELECT m.sample, m.batch_key, m.idx, r.id,
       concat_ws(', ', CASE WHEN r.type IS DISTINCT FROM m.type THEN 'type' END,
                    CASE WHEN r.start_ms IS DISTINCT FROM m.start_ms THEN 'start' END,
                    CASE WHEN r.end_ms IS DISTINCT FROM m.end_ms THEN 'end' END,
                    CASE WHEN r.value IS DISTINCT FROM m.value THEN 'value' END,
                    CASE WHEN r.category IS DISTINCT FROM m.category THEN 'category' END,
                    CASE WHEN coalesce(r.unit, '') <> coalesce(m.unit, '') THEN 'unit' END,
                    CASE WHEN r.source IS DISTINCT FROM m.source THEN 'source' END),
       count(*) OVER () AS total
FROM misses m JOIN records r ON r.id = m.record_id WHERE m.fate = 'wrong' ORDER BY m.sample LIMIT $limit
"""
_WRONG_UUID = """
WITH odd AS MATERIALIZED (
    SELECT r.id, r.nk, r.start_ms, r.hk_uuid IS NULL AS is_bare FROM records r WHERE NOT EXISTS (
        SELECT 1 FROM samples o WHERE o.nk = r.nk AND o.mark <> 'bad'
          AND coalesce(o.uuid, $no_uuid::UUID) = coalesce(r.hk_uuid, $no_uuid::UUID)))
SELECT r.id, min(s.sample), any_value(s.batch_key), any_value(s.idx), any_value(r.is_bare), count(*) OVER () AS total
FROM odd r JOIN samples s ON s.nk = r.nk AND s.start_ms = r.start_ms AND s.mark <> 'bad'
GROUP BY r.id ORDER BY r.id LIMIT $limit
"""
# Stands for "none" on both sides, so that the comparison is one hash join.
_NO_UUID = "00000000-0000-0000-0000-000000000000"
_WRONG_SOURCE = """
SELECT d.id, u.user, d.identifier, d.name, d.kind, d.precedence, sent.names, sent.kinds
FROM sources d JOIN users u USING (user_id)
JOIN (SELECT user_id, source, list(DISTINCT source_name) AS names, list(DISTINCT source_kind) AS kinds
      FROM samples WHERE mark <> 'bad' GROUP BY user_id, source) sent
  ON sent.user_id = d.user_id AND sent.source = d.identifier
WHERE NOT list_contains(sent.names, d.name) OR NOT list_contains(sent.kinds, d.kind)
   OR d.precedence <> CASE d.kind WHEN 'watch' THEN 1 WHEN 'phone' THEN 2 ELSE 3 END
ORDER BY d.id
"""
_STRANGERS_SOURCE = """
SELECT r.user_id, d.user_id, d.id, any_value(d.identifier), count(*), min(r.id)
FROM records r JOIN sources d ON d.id = r.source_id WHERE d.user_id <> r.user_id GROUP BY ALL ORDER BY ALL
"""


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Records with other content, another UUID, or a source that is not as sent."""
    settle(evidence)
    wrong = evidence.rows(_WRONG, {"limit": NAMED})
    uuids = evidence.rows(_WRONG_UUID, {"limit": NAMED, "no_uuid": _NO_UUID})
    return (
        *named(
            Kind.WRONG_RECORD,
            [
                (
                    f"record {record} of sample {sample} differs from what was sent in: {fields}",
                    {"sample": sample, "record": record, "batch_key": key, "chunk": idx},
                )
                for sample, key, idx, record, fields, _total in wrong
            ],
            total=wrong[0][-1] if wrong else 0,
        ),
        *named(
            Kind.WRONG_RECORD,
            [
                (
                    f"record {record} carries {'no UUID, though one was' if is_bare else 'a UUID that was never'} sent "
                    f"with sample {sample}",
                    {"sample": sample, "record": record, "batch_key": key, "chunk": idx},
                )
                for record, sample, key, idx, is_bare, _total in uuids
            ],
            total=uuids[0][-1] if uuids else 0,
        ),
        *named(
            Kind.WRONG_RECORD,
            [
                (
                    f"source {identifier} of {user} is {name!r}, {kind}, precedence {rank}; sent: {names}, {kinds}",
                    {"source": source, "user": user},
                )
                for source, user, identifier, name, kind, rank, names, kinds in evidence.rows(_WRONG_SOURCE)
            ],
        ),
        *named(
            Kind.WRONG_RECORD,
            [
                (
                    f"{count} records of user {user_id} hang on source {identifier} of user {other_id}",
                    {"source": source, "user_id": user_id, "record": record},
                )
                for user_id, other_id, source, identifier, count, record in evidence.rows(_STRANGERS_SOURCE)
            ],
        ),
    )
