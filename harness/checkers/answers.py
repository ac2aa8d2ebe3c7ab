"""Invariant: every answer that a device got is right: shape, counts, refusals, codes, figures, and isolation.

What a device found wrong at once stands in its op (`wrong`). Beyond that: a verification code works once, on any
replica (unless the cache was harmed between making and using it), and guessing finds none; a refusal's HTTP status is
its code's, /health/imports answers 503 when it names a problem and 200 when not, and /health/ is 503 while Postgres is
dead and never because of Redis; progress, anchors and aggregates as the API tells them equal the rows, once nothing is
in flight, each day from the first that was asked for to the last included; a batch that was answered OK exists; every
user and device has one id, and nobody else has it. In a control, and in a load run without a fault, no request is
answered with 502 or above: phones try again, so nobody else would notice.

Cannot see: wrong answers to questions that no device asked; connections that a control cuts (an idle one may be closed
at the very moment when it is used).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import named
from harness.checkers.windows import overlap, windows
from harness.evidence.evidence import Evidence

_WRONG = """
SELECT op, kind, user, device, batch_key, batch, idx, w FROM (SELECT *, unnest(wrong) AS w FROM ops) ORDER BY op
"""
_CODES = """
SELECT v.op, v.device, v.facts->>'expected', v.facts->>'ok', v.facts->>'made_on', v.facts->>'use', r.started_ms,
       v.ended_ms
FROM ops v JOIN (SELECT * FROM ops WHERE kind = 'request_code') r
  ON r.device = v.device AND r.started_ms = (
      SELECT max(m.started_ms) FROM ops m
      WHERE m.kind = 'request_code' AND m.device = v.device AND m.started_ms <= v.started_ms)
WHERE v.kind = 'verify_code' AND v.outcome = 'OK' AND v.facts->>'ok' <> v.facts->>'expected'
  AND len(CAST(v.attempts AS JSON[])) = 1 ORDER BY v.op
"""
_CODES_AT_ONCE = """
SELECT min(op), device, count(*) FILTER (facts->>'ok' = 'true') AS worked, min(started_ms), max(ended_ms) FROM ops
WHERE kind = 'verify_code' AND facts->>'use' = 'at_once' AND outcome = 'OK' AND len(CAST(attempts AS JSON[])) = 1
GROUP BY device HAVING count(*) = 2 AND worked <> 1 ORDER BY 1
"""
# Each refusal with the status that docs/errors.md gives its code; the lab keeps its own copy.
_STATUS = {
    "BAD_REQUEST": 400,
    "UNAUTHENTICATED": 401,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "TOO_LARGE": 413,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}
_REFUSED = """
SELECT a->>'code', CAST(a->>'status' AS INTEGER), count(*), min(op), any_value(kind), any_value(a->>'replica')
FROM (SELECT op, kind, unnest(CAST(attempts AS JSON[])) AS a FROM ops)
WHERE a->>'code' IS NOT NULL AND a->>'code' <> '' AND a->>'status' IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
"""
_TURNED_AWAY = """
SELECT kind, CAST(a->>'status' AS INTEGER) AS status, count(*), min(op), any_value(a->>'replica')
FROM (SELECT op, kind, unnest(CAST(attempts AS JSON[])) AS a FROM ops) WHERE status > 500 GROUP BY 1, 2 ORDER BY 1, 2
"""
_HEALTH = """
SELECT replica, status, count(*), min(at_ms), any_value(problems) FROM (
    SELECT at_ms, replica, CAST(json_extract(imports, '$."' || replica || '".status') AS INTEGER) AS status,
           json_extract(imports, '$."' || replica || '".problems')::VARCHAR AS problems
    FROM (SELECT at_ms, imports, unnest(json_keys(imports)) AS replica
          FROM (SELECT at_ms, json_extract(reading, '$.imports') AS imports FROM readings)))
WHERE (status = 200 AND problems <> '[]') OR (status = 503 AND problems = '[]') GROUP BY 1, 2 ORDER BY 1, 2
"""
# The watch's own looks at Postgres: when each ended, and whether it failed.
_LOOKS = """
SELECT DISTINCT epoch_ms(CAST(reading->>'postgres_at' AS TIMESTAMPTZ)) AS at_ms, reading->>'postgres_error' IS NOT NULL
FROM readings WHERE reading->>'postgres_at' IS NOT NULL ORDER BY at_ms
"""
_READY = """
SELECT DISTINCT replica, CAST(r->>'status' AS INTEGER), epoch_ms(CAST(r->>'asked' AS TIMESTAMPTZ)) AS asked_ms,
       epoch_ms(CAST(r->>'answered' AS TIMESTAMPTZ)) AS answered_ms
FROM (SELECT replica, json_extract(ready, '$."' || replica || '"') AS r
      FROM (SELECT ready, unnest(json_keys(ready)) AS replica
            FROM (SELECT json_extract(reading, '$.ready') AS ready FROM readings)))
ORDER BY asked_ms, replica
"""
_USES = {
    "second": "worked a second time",
    "earlier": "worked, though a newer one had been made",
    "guess": "was not needed: a wrong one was taken for it",
    "expired": "worked after its time",
    "spent": "worked after more wrong tries than are allowed",
}
# What was asked after the end (`final`), or told an end: neither changes any more.
_LAST_PROGRESS = """
SELECT o.op, o.batch, o.device, b.status, o.p->>'status', b.done_count, CAST(o.p->>'doneCount' AS INTEGER),
       b.failed_count, CAST(o.p->>'failedCount' AS INTEGER), s.imported, CAST(o.p->>'importedSamples' AS BIGINT),
       s.duplicate, CAST(o.p->>'duplicateSamples' AS BIGINT), s.rejected, CAST(o.p->>'rejectedSamples' AS BIGINT),
       s.failed_chunks, CAST(o.p->'failedChunks' AS BIGINT[])
FROM (SELECT *, facts->'progress' AS p, row_number() OVER (PARTITION BY batch ORDER BY ended_ms DESC) AS turn
      FROM ops WHERE kind = 'progress' AND outcome = 'OK' AND p IS NOT NULL) o
JOIN batches b ON b.id = o.batch
JOIN (SELECT batch, sum(imported_count) AS imported, sum(duplicate_count) AS duplicate, sum(rejected_count) AS rejected,
             coalesce(list(idx ORDER BY idx) FILTER (status = 'FAILED'), []) AS failed_chunks
      FROM chunks GROUP BY batch) s ON s.batch = o.batch
WHERE o.turn = 1 AND (o.facts->>'final' = 'true' OR o.p->>'status' IN ('COMPLETED', 'FAILED'))
  AND b.id NOT IN (SELECT batch FROM redriven)
ORDER BY o.op
"""
_UNKNOWN_BATCHES = """
SELECT o.op, o.device, o.batch_key, o.facts->>'batch' FROM ops o
WHERE o.kind = 'start_import' AND o.outcome = 'OK'
  AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = o.facts->>'batch' AND b.batch_key = o.batch_key) ORDER BY o.op
"""
_IDS = """
SELECT 'user' AS kind, user AS name, facts->>'user_id' AS id FROM ops
WHERE kind IN ('register', 'register_everybodys') AND outcome = 'OK'
UNION ALL SELECT 'device', device, facts->>'device_id' FROM ops WHERE kind = 'register' AND outcome = 'OK'
UNION ALL SELECT 'device', user || '/everybody''s phone', facts->>'device_id' FROM ops
WHERE kind = 'register_everybodys' AND outcome = 'OK'
"""
_MANY_IDS = f"""
SELECT kind, name, list(DISTINCT id ORDER BY id) FROM ({_IDS}) GROUP BY ALL HAVING count(DISTINCT id) > 1 ORDER BY ALL
"""
_SHARED_IDS = f"""
SELECT kind, id, list(DISTINCT name ORDER BY name) FROM ({_IDS}) GROUP BY ALL HAVING count(DISTINCT name) > 1
ORDER BY ALL
"""
_LAST_ANCHORS = """
WITH last AS (
    SELECT op, device, facts->'anchors' AS told, row_number() OVER (PARTITION BY device ORDER BY ended_ms DESC) AS turn
    FROM ops WHERE kind = 'anchors' AND outcome = 'OK'
), answers AS (
    SELECT op, device, unnest(json_keys(told)) AS type, told FROM last WHERE turn = 1
), stored AS (
    SELECT l.op, l.device, a.type, a.value FROM last l JOIN devices d USING (device)
    JOIN anchors a ON a.device_id = d.device_id WHERE l.turn = 1
)
SELECT op, device, type, json_extract_string(x.told, '$."' || type || '"') AS told_value, s.value
FROM answers x FULL JOIN stored s USING (op, device, type)
WHERE told_value IS DISTINCT FROM s.value ORDER BY ALL
"""
_LAST_ANCHOR = """
SELECT o.op, o.device, o.type, o.facts->>'anchor' AS told, a.value
FROM ops o JOIN devices d USING (device) LEFT JOIN anchors a ON a.device_id = d.device_id AND a.type = o.type
WHERE o.kind = 'anchor' AND o.outcome = 'OK' AND o.facts->>'final' = 'true' AND told IS DISTINCT FROM a.value
ORDER BY o.op
"""
_AGGREGATES = """
WITH told AS (
    SELECT op, user, type, unnest(CAST(facts->'days' AS JSON[])) AS d FROM ops
    WHERE kind = 'aggregates' AND outcome = 'OK' AND facts->>'final' = 'true'
), asked AS (
    SELECT DISTINCT o.op, o.type, u.user_id, u.user, CAST(o.facts->>'first' AS DATE) AS first,
           CAST(o.facts->>'last' AS DATE) AS last FROM ops o JOIN users u USING (user)
    WHERE o.kind = 'aggregates' AND o.outcome = 'OK' AND o.facts->>'final' = 'true'
), answers AS (
    SELECT a.op, a.user_id, t.type, CAST(d->>'day' AS DATE) AS day, CAST(d->>'sampleCount' AS BIGINT) AS n,
           CAST(d->>'total' AS DOUBLE) AS total, CAST(d->>'mean' AS DOUBLE) AS mean,
           CAST(d->>'minimum' AS DOUBLE) AS minimum, CAST(d->>'maximum' AS DOUBLE) AS maximum
    FROM told t JOIN asked a USING (op)
), stored AS (
    SELECT a.op, s.* FROM aggregates s JOIN asked a ON a.user_id = s.user_id AND a.type = s.type
      AND s.day BETWEEN a.first AND a.last
)
SELECT op, user_id, type, day FROM answers x FULL JOIN stored s USING (op, user_id, type, day)
WHERE x.n IS DISTINCT FROM s.sample_count OR x.total IS DISTINCT FROM s.total OR x.mean IS DISTINCT FROM s.mean
   OR x.minimum IS DISTINCT FROM s.minimum OR x.maximum IS DISTINCT FROM s.maximum ORDER BY ALL
"""
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """What devices found wrong, then what the rows contradict."""
    settle(evidence)
    found: list[_Found] = [
        (
            f"{kind} of {device}: {problem}",
            {"op": op, "user": user, "device": device, "batch_key": key, "batch": batch, "chunk": idx},
        )
        for op, kind, user, device, key, batch, idx, problem in evidence.rows(_WRONG)
    ]
    found += _codes(evidence)
    found += _statuses(evidence)
    found += [
        (f"batch {batch} of {key} was acknowledged and is not there", {"op": op, "device": device, "batch": batch})
        for op, device, key, batch in evidence.rows(_UNKNOWN_BATCHES)
    ]
    found += [
        (f"{kind} {name} was told several ids: {', '.join(ids)}", {kind: name})
        for kind, name, ids in evidence.rows(_MANY_IDS)
    ]
    found += [
        (f"{kind}s {', '.join(names)} were told one id, {id_}: whose data is whose", {kind: names[0]})
        for kind, id_, names in evidence.rows(_SHARED_IDS)
    ]
    if not evidence.moving:
        found += _read_back(evidence)
    return tuple(named(Kind.WRONG_ANSWER, found))


def _codes(evidence: Evidence) -> list[_Found]:
    """A code that failed counts, unless a store was harmed between making and using it."""
    harmed = windows(evidence, settle_s=1.0, touching=("redis", "cache", "postgres"))
    found: list[_Found] = []
    for op, device, expected, ok, made_on, use, made_ms, used_ms in evidence.rows(_CODES):
        if ok == "true" or not overlap(harmed, made_ms, used_ms):
            words = _USES.get(use, _USES["second"]) if ok == "true" else "was refused"
            where = f", made on {made_on}," if made_on else ""
            found.append((f"verification code of {device}{where} {words} (expected ok={expected})", {"op": op}))
    for op, device, worked, begun_ms, ended_ms in evidence.rows(_CODES_AT_ONCE):
        if worked or not overlap(harmed, begun_ms, ended_ms):
            words = f"verification code of {device}, used twice at the same moment, worked {worked} times"
            found.append((words, {"op": op}))
    return found


def _statuses(evidence: Evidence) -> list[_Found]:
    """A load balancer and a monitor read the status, not the body."""
    found: list[_Found] = [
        (
            f"{times} refusals with code {code} came with HTTP {status}, not {_STATUS[code]}; the first: {kind}, "
            f"answered by {replica}",
            {"op": op},
        )
        for code, status, times, op, kind, replica in evidence.rows(_REFUSED)
        if code in _STATUS and status != _STATUS[code]
    ]
    if evidence.expectations.is_control or evidence.expectations.is_plain_load:
        found += [
            (f"{times} × {kind} was answered with HTTP {status} by {replica}, though nothing was harmed", {"op": op})
            for kind, status, times, op, replica in evidence.rows(_TURNED_AWAY)
        ]
    found += [
        (
            f"/health/imports of {replica} answered HTTP {status} with "
            f"{'problems' if status == 200 else 'no problem'} ({problems[:120]}), {times} readings",
            {"service": replica, "first_seen_ms": first},
        )
        for replica, status, times, first, problems in evidence.rows(_HEALTH)
    ]
    return [*found, *_readiness(evidence)]


def _readiness(evidence: Evidence) -> list[_Found]:
    """A replica is ready while Postgres answers, whatever becomes of Redis, and not while Postgres is dead."""
    looks = evidence.rows(_LOOKS)
    killed = [fault for fault in evidence.faults if fault.name == "kill_postgres"]
    is_redis_alone = all(fault.target.endswith("redis") for fault in evidence.faults)
    must_be_ready = evidence.expectations.is_control or (bool(evidence.faults) and is_redis_alone)
    first_seen: dict[tuple[str, str], int] = {}
    for replica, status, asked_ms, answered_ms in evidence.rows(_READY):
        if status == 503 and must_be_ready:
            first_seen.setdefault((replica, "was not ready, though nothing had happened to Postgres"), asked_ms)
        elif status == 200 and killed and _was_dead(looks, asked_ms, answered_ms):
            first_seen.setdefault((replica, "was ready while Postgres was dead"), asked_ms)
    return [
        (f"/health/ of {replica}: it {words}", {"service": replica, "first_seen_ms": at_ms})
        for (replica, words), at_ms in first_seen.items()
    ]


def _was_dead(looks: list[tuple[Any, ...]], from_ms: int, to_ms: int) -> bool:
    """Whether every look from the last before a span to the second after it failed; the first may have begun within."""
    before = bisect_right(looks, from_ms, key=lambda look: look[0]) - 1
    after = bisect_left(looks, to_ms, key=lambda look: look[0]) + 1
    return before >= 0 and after < len(looks) and all(has_failed for _, has_failed in looks[before : after + 1])


def _read_back(evidence: Evidence) -> list[_Found]:
    """What every phone was told at the end, against the rows; both are of one moment only when nothing moves."""
    found = _progress(evidence)
    found += [
        (f"anchor of {device}, {type_}: told {told}, the row says {row}", {"op": op, "device": device, "type": type_})
        for op, device, type_, told, row in (*evidence.rows(_LAST_ANCHORS), *evidence.rows(_LAST_ANCHOR))
    ]
    found += [
        (
            f"aggregates of {type_} on {day}: the answer differs from the rows",
            {"op": op, "user_id": user_id, "day": day},
        )
        for op, user_id, type_, day in evidence.rows(_AGGREGATES)
    ]
    return found


def _progress(evidence: Evidence) -> list[_Found]:
    found: list[_Found] = []
    names = ("status", "done", "failed", "imported", "duplicate", "rejected", "failed chunks")
    for op, batch, device, *pairs in evidence.rows(_LAST_PROGRESS):
        wrong = [name for name, at in zip(names, range(0, 14, 2), strict=True) if pairs[at] != pairs[at + 1]]
        if wrong:
            words = ", ".join(
                f"{name} {pairs[2 * names.index(name) + 1]} (rows: {pairs[2 * names.index(name)]})" for name in wrong
            )
            found.append((f"progress of batch {batch}: {words}", {"op": op, "device": device, "batch": batch}))
    return found
