"""Invariant: what /metrics says of work at rest is what the rows say, on every api replica.

Compared are figures that nothing moves once the run is quiet: imports by status, rejected samples, dead letters.
Missed ticks are read after the rows and only ever grow, so fewer than the rows show is false. In a control, where no
process took its counts along, also: as many ends of chunk tasks as there are DONE chunks, at least; and messages sent,
some of each task of imports, and no more than Redis was given (the last few may not be written yet).

Cannot see: figures of work in motion (queue depth, ages, durations); counts of tasks where processes were killed.
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

_EXPECTED = """
SELECT 'app_batches' AS name, status AS label, count(*)::DOUBLE AS value, true AS is_exact FROM batches GROUP BY status
UNION ALL SELECT 'app_rejected_samples', '', count(*), true FROM rejected WHERE NOT is_resolved
UNION ALL SELECT 'app_dead_letters', '', count(*), true FROM dead_letters WHERE NOT is_redriven
UNION ALL SELECT 'app_missed_ticks', '', count(*), false FROM ticks WHERE status = 'missed'
"""
_FALSE = f"""
SELECT r.replica, e.name, e.label, e.value, m.value
FROM ({_EXPECTED}) e
CROSS JOIN (SELECT DISTINCT replica FROM metrics) r
LEFT JOIN metrics m ON m.replica = r.replica AND m.name = e.name AND m.label = e.label
WHERE m.value IS NULL OR (e.is_exact AND m.value <> e.value) OR (NOT e.is_exact AND m.value < e.value)
ORDER BY ALL
"""
# `high` null: no bound. What MONITOR did not see, because nobody listened, bounds nothing.
_COUNTED = """
WITH bounds AS (
    SELECT 'app_tasks_finished_total' AS name, 'healthkit.import_chunk' AS task, count(*)::DOUBLE AS low,
           NULL::DOUBLE AS high FROM chunks WHERE status = 'DONE'
    UNION ALL SELECT 'app_tasks_enqueued_total', task, 1, count(*) FROM publishes
    WHERE task IN ('healthkit.import_batch', 'healthkit.import_chunk') AND NOT is_redelivered GROUP BY task
), told AS (
    SELECT replica, name, unnest(string_split(label, ',')) AS task, value FROM metrics
)
SELECT r.replica, b.name, b.task, b.low, b.high, sum(t.value) AS said
FROM bounds b CROSS JOIN (SELECT DISTINCT replica FROM metrics) r
LEFT JOIN told t ON t.replica = r.replica AND t.name = b.name AND t.task = b.task
GROUP BY ALL HAVING coalesce(said, 0) < b.low OR said > b.high ORDER BY ALL
"""


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Every figure of every replica that told its metrics. Nothing is said where none did."""
    found = [_problem(row) for row in evidence.rows(_FALSE)]
    if evidence.expectations.is_control:
        found += [_miscount(row) for row in evidence.rows(_COUNTED)]
    return tuple(named(Kind.FALSE_METRIC, found))


def _miscount(row: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    replica, name, task, low, high, told = row
    metric = f"{name}{{{task}}}"
    wanted = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
    said = "does not tell it" if told is None else f"says {told:g}"
    return f"{metric} is {wanted} by the rows and by MONITOR; {replica} {said}", {"metric": metric, "service": replica}


def _problem(row: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    replica, name, label, expected, told = row
    metric = f"{name}{{{label}}}" if label else name
    said = "does not tell it" if told is None else f"says {told:g}"
    return f"{metric} is {expected:g} by the rows; {replica} {said}", {"metric": metric, "service": replica}
