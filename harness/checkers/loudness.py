"""Invariant: every fault is heard of after it bit and not before, everything given up leaves a trace, silence is quiet.

*Heard*: one of the signals that the scenario declares for the fault (a log event, a problem code of /health/imports, a
metric that rises) first appears between the bite and `until_s` after the heal, and names one of the declared texts. A
signal that sounded before the bite as well says nothing and does not count; a metric says as much as it then rises
more. *Trace*: a chunk that FAILED has a log line `chunk_failed` with its batch and index; a dead letter has a line
`dead_lettered` that names its message, or its batch and chunk, both at level ERROR; a missed tick has a line
`tick_missed` that names or counts it, a delivery given up one `reminder_failed`, an ABANDONED batch one
`batch_finished` or `upload_abandoned`. In a control nothing may be heard: a line at level ERROR or above, or a problem
of /health/imports that outlasts one round of questions, is a `false_alarm`; not so what the lab itself confirms (work
waiting on a slow machine, a reminder that came late), unless it calls a batch overdue that moved within `overdue_s`. Of
an outage of Postgres at least one worker says, without a batch, that it could not sweep.

Cannot see: whether anybody looks at the logs; signals shorter than the watch's interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.checkers.windows import ms_of
from harness.evidence.evidence import Evidence, LoudSignal
from harness.receipt import Injected

COMMITTED_MS = 1000
SWEEPLESS_S = 2.0
"""An outage of Postgres that is longer than this meets a sweep, and the sweeper says so: lab's sweeps are 1 s apart."""
HEARD_S = 10.0
_LOG = "SELECT at_ms, coalesce(line::VARCHAR, message) FROM log_lines WHERE event = $name ORDER BY at_ms"
_HEALTH = """
SELECT at_ms, p FROM (
    SELECT at_ms, unnest(CAST(json_extract(reading, '$.imports.*.problems[*]') AS JSON[])) AS p FROM readings)
WHERE (p->>'code') = $name ORDER BY at_ms
"""
_METRIC = """
SELECT at_ms, json_extract_string(reading, '$.metrics."' || $name || '"') FROM readings
WHERE json_extract(reading, '$.metrics."' || $name || '"') IS NOT NULL ORDER BY at_ms
"""
_SILENT_CHUNKS = """
SELECT c.batch, c.idx, b.batch_key FROM chunks c JOIN batches b ON b.id = c.batch
WHERE c.status = 'FAILED' AND NOT EXISTS (
    SELECT 1 FROM log_lines l
    WHERE l.event = 'chunk_failed' AND l.level = 'ERROR' AND l.batch = c.batch AND l.idx = c.idx) ORDER BY ALL
"""
_SILENT_LETTERS = """
SELECT d.id, d.task, d.reason FROM dead_letters d WHERE NOT EXISTS (
    SELECT 1 FROM log_lines l WHERE l.event = 'dead_lettered' AND l.level = 'ERROR'
      AND (d.message_id IS NULL OR contains(l.line::VARCHAR, d.message_id)
           OR (l.batch = d.batch AND TRY_CAST(l.line->>'chunk_id' AS BIGINT) = d.chunk_id))) ORDER BY ALL
"""
_SILENT_TICKS = """
SELECT t.entry, t.due_ms FROM ticks t
WHERE t.status = 'missed' AND t.due_ms >= $since_ms AND NOT EXISTS (
    SELECT 1 FROM log_lines l WHERE l.event = 'tick_missed' AND starts_with(l.line->>'tick', t.entry || '|')
      AND epoch_us(TRY_CAST(split_part(l.line->>'tick', '|', -1) AS TIMESTAMPTZ)) // 1000 = t.due_ms) ORDER BY ALL
"""
_COUNTED_TICKS = """
SELECT coalesce(sum(TRY_CAST(line->>'count' AS BIGINT)), 0)::BIGINT FROM log_lines WHERE event = 'tick_missed'
"""
_SILENT_DELIVERIES = """
SELECT d.id, d.reminder_id FROM deliveries d WHERE d.status = 'failed' AND NOT EXISTS (
    SELECT 1 FROM log_lines l WHERE l.event = 'reminder_failed' AND TRY_CAST(l.line->>'delivery' AS BIGINT) = d.id)
ORDER BY ALL
"""
_SILENT_BATCHES = """
SELECT b.id, b.batch_key FROM batches b WHERE b.status = 'ABANDONED' AND NOT EXISTS (
    SELECT 1 FROM log_lines l WHERE l.event IN ('batch_finished', 'upload_abandoned') AND l.batch = b.id) ORDER BY ALL
"""
_ALARMS = """
SELECT replica, event, any_value(message), count(*) FROM log_lines
WHERE level IN ('ERROR', 'CRITICAL', 'FATAL') GROUP BY replica, event ORDER BY ALL
"""
# An alarm that outlasts one round of questions. What is overdue on a slow machine is overdue: such an alarm is false
# only where the lab itself saw nothing waiting, and could see. An answer of /health/imports may stand beside several
# readings of the stores, the last of which know of later.
_HEALTH_ALARMS = """
WITH rounds AS (
    SELECT read_at, row_number() OVER (ORDER BY read_at) AS round
    FROM (SELECT DISTINCT reading->>'imports_at' AS read_at FROM readings WHERE (reading->>'imports_at') IS NOT NULL)
), named AS (
    SELECT p->>'code' AS code, read_at, max(pending + queued) AS waiting, any_value(p::VARCHAR) AS text FROM (
        SELECT reading->>'imports_at' AS read_at,
               unnest(CAST(json_extract(reading, '$.imports.*.problems[*]') AS JSON[])) AS p,
               CASE WHEN (reading->'$.chunks') IS NULL THEN 1
                    ELSE coalesce(CAST(reading->'$.chunks.PENDING' AS BIGINT), 0) END AS pending,
               CASE WHEN (reading->'$.queues') IS NULL THEN 1
                    ELSE coalesce(list_sum(CAST(json_extract(reading, '$.queues.*') AS BIGINT[])), 0) END AS queued
        FROM readings)
    GROUP BY ALL
), alarms AS (
    SELECT code, round, text, lead(round) OVER (PARTITION BY code ORDER BY round) AS following
    FROM named JOIN rounds USING (read_at)
    WHERE NOT (code IN ('import_overdue', 'message_overdue') AND waiting > 0)
      AND NOT (code = 'ticks_missed' AND EXISTS (SELECT 1 FROM ticks t WHERE t.status = 'missed'))
      AND NOT (code = 'reminders_overdue' AND EXISTS (
          SELECT 1 FROM received r JOIN ops o ON o.kind = 'create_reminder' AND o.facts->>'reminder_id' = r.reminder_id
          WHERE r.at_ms - greatest(r.due_ms, o.ended_ms) > $overdue_ms))
)
SELECT code, count(*), any_value(text) FROM alarms GROUP BY code HAVING bool_or(following = round + 1) ORDER BY ALL
"""
# A batch moves when a chunk of it arrives and when one ends; a move from shortly before the question may not count yet.
_MOVING_ALARMS = f"""
SELECT p->>'batch' AS batch, count(DISTINCT read_at), any_value(p::VARCHAR) FROM (
    SELECT read_at, epoch_ms(CAST(i->>'asked' AS TIMESTAMPTZ)) AS asked_ms,
           epoch_ms(CAST(i->>'answered' AS TIMESTAMPTZ)) AS answered_ms,
           unnest(CAST(json_extract(i, '$.problems[*]') AS JSON[])) AS p
    FROM (SELECT reading->>'imports_at' AS read_at, unnest(CAST(json_extract(reading, '$.imports.*') AS JSON[])) AS i
          FROM readings))
WHERE p->>'code' = 'import_overdue' AND EXISTS (
    SELECT 1 FROM (SELECT batch, created_ms AS moved_ms FROM chunks UNION ALL SELECT batch, finished_ms FROM chunks) m
    WHERE m.batch = p->>'batch' AND m.moved_ms <= asked_ms - {COMMITTED_MS}
      AND m.moved_ms > answered_ms - $overdue_ms)
GROUP BY ALL HAVING count(DISTINCT read_at) > 1 ORDER BY ALL
"""
_SWEEPS_FAILED = """
SELECT count(*) FROM log_lines WHERE event = 'database_unavailable' AND level = 'ERROR' AND service = 'worker'
  AND batch IS NULL AND at_ms BETWEEN $from_ms AND $to_ms
"""
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Faults that were not heard, failures without a trace, and alarms over nothing."""
    silent: list[_Found] = []
    faults = {fault.label(): fault for fault in reversed(evidence.faults)}
    for signal in evidence.expectations.loud:
        fault = faults[signal.fault]
        if fault.bitten_at is not None:
            silent += _unheard(evidence, signal, fault)
    silent += _traceless(evidence)
    silent += _unswept(evidence)
    return (*named(Kind.SILENT, silent), *_false_alarms(evidence))


def _traceless(evidence: Evidence) -> Iterator[_Found]:
    for batch, idx, key in evidence.rows(_SILENT_CHUNKS):
        words = f"chunk {idx} of batch {batch} FAILED without an error line"
        yield words, {"batch": batch, "batch_key": key, "chunk": idx}
    for letter, task, reason in evidence.rows(_SILENT_LETTERS):
        yield f"dead letter {letter} ({task}: {reason}) without a log line", {"dead_letter": letter, "task": task}
    [(counted,)] = evidence.rows(_COUNTED_TICKS)
    since_ms = ms_of(evidence.started_at) if evidence.started_at is not None else 0
    # A line that counts ticks does not say which: the oldest.
    for entry, due_ms in evidence.rows(_SILENT_TICKS, {"since_ms": since_ms})[counted:]:
        yield f"tick {entry} due at {due_ms} was missed without a log line", {"entry": entry, "due_ms": due_ms}
    for delivery, reminder in evidence.rows(_SILENT_DELIVERIES):
        words = f"delivery {delivery} of reminder {reminder} was given up without a log line"
        yield words, {"delivery": delivery, "reminder": reminder}
    for batch, key in evidence.rows(_SILENT_BATCHES):
        yield f"batch {batch} is ABANDONED without a log line", {"batch": batch, "batch_key": key}


def _unswept(evidence: Evidence) -> Iterator[_Found]:
    """Outages that no worker's sweeper met: whoever cannot sweep says so, or a sweeper that is broken looks idle."""
    for fault in evidence.faults:
        if fault.name != "kill_postgres" or fault.bitten_at is None or fault.healed_at is None:
            continue
        lasted_s = (fault.healed_at - fault.bitten_at).total_seconds()
        span = {"from_ms": ms_of(fault.injected_at), "to_ms": ms_of(fault.healed_at) + int(HEARD_S * 1000)}
        if lasted_s >= SWEEPLESS_S and evidence.rows(_SWEEPS_FAILED, span) == [(0,)]:
            words = (
                f"{fault.label()}: Postgres was away for {lasted_s:.1f} s, and no worker said that it could not sweep"
            )
            yield words, {"fault": fault.label(), "sources": "log:database_unavailable"}


def _heard(evidence: Evidence, source: str) -> list[tuple[int, str, float]]:
    """When, in which words, and how loud: each line and problem is as loud as another, a metric by how much it rose."""
    medium, _, name = source.partition(":")
    match medium:
        case "log":
            return [(at, str(text), 1.0) for at, text in evidence.rows(_LOG, {"name": name})]
        case "health":
            return [(at, str(text), 1.0) for at, text in evidence.rows(_HEALTH, {"name": name})]
        case "metric":
            values = [(at, float(text)) for at, text in evidence.rows(_METRIC, {"name": name})]
            return [(at, str(now), now - before) for (_, before), (at, now) in pairwise(values) if now > before]
        case _:
            raise ValueError(f"a signal is log:…, health:… or metric:…, not {source!r}")


def _unheard(evidence: Evidence, signal: LoudSignal, fault: Injected) -> list[_Found]:
    bite_ms = ms_of(fault.bitten_at) if fault.bitten_at is not None else 0
    until_ms = (ms_of(fault.healed_at) if fault.healed_at else bite_ms) + int(signal.until_s * 1000)
    # The bite is noted when the receipt is read; what the harm itself caused may be a little older than that.
    inject_ms = ms_of(fault.injected_at)
    begun_ms = ms_of(evidence.started_at) if evidence.started_at is not None else inject_ms
    sounded_before: list[str] = []
    for source in signal.sources:
        heard = [(at, loud) for at, text, loud in _heard(evidence, source)
                 if not signal.names or any(name in text for name in signal.names)]  # fmt: skip
        before = sum(loud for at, loud in heard if at < inject_ms)
        after = sum(loud for at, loud in heard if inject_ms <= at <= until_ms)
        is_louder = source.startswith("metric:") and after * (inject_ms - begun_ms) > before * (until_ms - inject_ms)
        if after and (not before or is_louder):
            return []
        if before:
            sounded_before.append(source)
    ids = {"fault": fault.label(), "sources": ", ".join(signal.sources)}
    if sounded_before:
        return [
            (f"{fault.label()}: {', '.join(sounded_before)} sounded before the bite as well, so it says nothing", ids)
        ]
    about = f" naming {' or '.join(signal.names)}" if signal.names else ""
    return [(f"{fault.label()} bit, and none of {', '.join(signal.sources)}{about} was heard", ids)]


def _false_alarms(evidence: Evidence) -> list[Anomaly]:
    if not evidence.expectations.is_control:
        return []
    overdue = {"overdue_ms": int(evidence.expectations.overdue_s * 1000)}
    found: list[_Found] = [
        (f"{replica} logged {times} × {event or 'an error'} without any fault: {message}", {"service": replica})
        for replica, event, message, times in evidence.rows(_ALARMS)
    ]
    found += [
        (f"/health/imports named {code} in {times} readings without any fault: {text}", {"code": code})
        for code, times, text in evidence.rows(_HEALTH_ALARMS, overdue)
    ]
    found += [
        (f"/health/imports called batch {batch} overdue in {times} readings, though it moved: {text}", {"batch": batch})
        for batch, times, text in evidence.rows(_MOVING_ALARMS, overdue)
    ]
    return named(Kind.FALSE_ALARM, found)
