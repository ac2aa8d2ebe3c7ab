"""Invariant: what /metrics says of work at rest is what the rows say, on every api replica.

Compared are figures that nothing moves once the run is quiet: imports by status, rejected samples, dead letters.
Missed ticks are read after the rows and only ever grow, so fewer than the rows show is false.

Cannot see: figures of work in motion (queue depth, ages, durations), nor counters that have no row behind them.
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence import Evidence

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


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Every figure of every replica that told its metrics. Nothing is said where none did."""
    return tuple(named(Kind.FALSE_METRIC, [_problem(row) for row in evidence.rows(_FALSE)]))


def _problem(row: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    replica, name, label, expected, told = row
    metric = f"{name}{{{label}}}" if label else name
    said = "does not tell it" if told is None else f"says {told:g}"
    return f"{metric} is {expected:g} by the rows; {replica} {said}", {"metric": metric, "service": replica}
