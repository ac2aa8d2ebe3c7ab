"""Invariant: an anchor moves only along ended batches, never back, never ahead of committed data, and is never stuck.

*Ended* for an anchor: COMPLETED or FAILED (ABANDONED moves none). The history of a (device, type) is a chain: each move
starts where the one before ended (the first at nothing), belongs to an ended batch with exactly that start and end, and
no batch moves twice; the current value is the end of the chain. *Stuck*: an ended batch starts at the current value and
has not moved it. *Ahead*: the batch of the anchor, or one that the chain passed, has a PENDING chunk or lost samples,
at the end or in any reading of the watch (of a batch that was re-driven: any reading before the first redrive). *Told*:
an anchor that a phone was told had become current, by a move of its device and type, before the answer came.

Cannot see: a moment ahead shorter than the watch's interval; an older anchor told, but for the last time that a phone
asks (see `answers`).
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

_MOVES = """
SELECT m.device_id, any_value(d.device), m.type,
       list({'from': m.from_value, 'to': m.to_value, 'batch': m.batch, 'status': b.status, 'start': b.starting_anchor,
             'end': b.new_anchor, 'known': b.id IS NOT NULL, 'type': b.type, 'device_id': b.device_id} ORDER BY m.id)
FROM anchor_moves m LEFT JOIN batches b ON b.id = m.batch LEFT JOIN devices d ON d.device_id = m.device_id
GROUP BY m.device_id, m.type ORDER BY m.device_id, m.type
"""
_CURRENT = "SELECT device_id, type, value, batch FROM anchors"
_STUCK = """
SELECT b.device_id, any_value(d.device), b.type, min(b.id), any_value(a.value), any_value(b.batch_key)
FROM batches b LEFT JOIN anchors a ON a.device_id = b.device_id AND a.type = b.type
LEFT JOIN devices d ON d.device_id = b.device_id
WHERE b.status IN ('COMPLETED', 'FAILED') AND b.new_anchor IS NOT NULL
  AND b.starting_anchor IS NOT DISTINCT FROM a.value AND b.new_anchor IS DISTINCT FROM a.value
GROUP BY b.device_id, b.type ORDER BY b.device_id, b.type
"""
_AHEAD = """
SELECT m.device_id, any_value(d.device), m.type, m.batch, any_value(b.batch_key),
       count(DISTINCT c.id) FILTER (c.status = 'PENDING') AS pending, count(DISTINCT x.rid) AS lost
FROM anchor_moves m JOIN batches b ON b.id = m.batch LEFT JOIN devices d ON d.device_id = m.device_id
LEFT JOIN chunks c ON c.batch = m.batch
LEFT JOIN misses x ON x.batch_key = b.batch_key AND x.told = 'OK' AND x.fate IN ('gone', 'waiting', 'late')
WHERE m.batch NOT IN (SELECT batch FROM redriven)
GROUP BY m.device_id, m.type, m.batch HAVING pending > 0 OR lost > 0 ORDER BY m.batch
"""
_SEEN_AHEAD = """
SELECT a->>'device_id', a->>'type', a->>'batch', a->>'why', min(at_ms), count(*)
FROM (SELECT at_ms, unnest(CAST(reading->'anchors_ahead' AS JSON[])) AS a FROM readings)
WHERE a->>'batch' NOT IN (SELECT batch FROM redriven)
   OR at_ms < (SELECT min(started_ms) FROM ops WHERE kind = 'redrive')
GROUP BY ALL ORDER BY min(at_ms)
"""
_TOLD_AHEAD = """
SELECT o.op, o.device, o.type, o.facts->>'anchor' AS told, min(m.moved_ms) - o.ended_ms
FROM ops o JOIN devices d USING (device)
LEFT JOIN anchor_moves m ON m.device_id = d.device_id AND m.type = o.type AND m.to_value = o.facts->>'anchor'
WHERE o.kind = 'anchor' AND o.outcome = 'OK' AND told IS NOT NULL
GROUP BY o.op, o.device, o.type, told, o.ended_ms HAVING coalesce(min(m.moved_ms) > o.ended_ms, true) ORDER BY o.op
"""
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Broken chains, stuck anchors, anchors ahead, anchors told before they were current."""
    settle(evidence)
    current = {(device_id, type_): (value, batch) for device_id, type_, value, batch in evidence.rows(_CURRENT)}
    found: list[_Found] = []
    chains: set[tuple[int, str]] = set()
    for device_id, device, type_, moves in evidence.rows(_MOVES):
        chains.add((device_id, type_))
        ids = {"device": device, "device_id": device_id, "type": type_}
        problems = _chain_problems(moves, device_id, type_, current.get((device_id, type_)))
        found += [(f"anchor of {device}, {type_}: {problem}", {**ids, "batch": batch}) for problem, batch in problems]
    found += [
        (
            f"anchor of device {device_id}, {type_} is set, but its history is empty",
            {"device_id": device_id, "batch": batch},
        )
        for (device_id, type_), (_value, batch) in sorted(current.items())
        if (device_id, type_) not in chains
    ]
    found += [
        (
            f"anchor of {device}, {type_} is stuck: batch {batch} ended and starts where it stands",
            {"device": device, "device_id": device_id, "type": type_, "batch": batch, "batch_key": key},
        )
        for device_id, device, type_, batch, _value, key in evidence.rows(_STUCK)
    ]
    found += [
        (
            f"anchor of {device}, {type_} passed batch {batch}: {pending} PENDING chunks, {lost} lost samples",
            {"device": device, "device_id": device_id, "type": type_, "batch": batch, "batch_key": key},
        )
        for device_id, device, type_, batch, key, pending, lost in evidence.rows(_AHEAD)
    ]
    found += [
        (
            f"anchor of device {device_id}, {type_} was seen ahead of committed data ({why}), {times} readings",
            {"device_id": device_id, "type": type_, "batch": batch, "first_seen_ms": first},
        )
        for device_id, type_, batch, why, first, times in evidence.rows(_SEEN_AHEAD)
    ]
    found += [
        (
            f"anchor of {device}, {type_}: told {told}, which "
            + ("never was current" if early_ms is None else f"became current {early_ms} ms later"),
            {"op": op, "device": device, "type": type_},
        )
        for op, device, type_, told, early_ms in evidence.rows(_TOLD_AHEAD)
    ]
    return tuple(named(Kind.WRONG_ANCHOR, found))


def _chain_problems(
    moves: list[dict[str, Any]], device_id: int, type_: str, current: tuple[str, str] | None
) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    at: str | None = None
    seen: set[str] = set()
    for move in moves:
        batch = move["batch"]
        if move["from"] != at:
            problems.append((f"moved from {move['from']} while it stood at {at}", batch))
        if not move["known"] or (move["device_id"], move["type"]) != (device_id, type_):
            problems.append((f"moved by batch {batch}, which is not of this device and type", batch))
        elif move["status"] not in ("COMPLETED", "FAILED"):
            problems.append((f"moved by batch {batch}, which is {move['status']}", batch))
        elif (move["start"], move["end"]) != (move["from"], move["to"]):
            problems.append(
                (f"moved {move['from']} → {move['to']}; batch {batch} spans {move['start']} → {move['end']}", batch)
            )
        if batch in seen:
            problems.append((f"moved twice by batch {batch}", batch))
        seen.add(batch)
        at = move["to"]
    if current is None or current[0] != at:
        problems.append(
            (f"stands at {current[0] if current else 'nothing'}, its history ends at {at}", moves[-1]["batch"])
        )
    return problems
