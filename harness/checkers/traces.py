"""Invariant: whoever reads the logs can follow every import, and tell what wrote a line.

In a control each ended batch has a line `batch_finished` with its id (two are the concern of `accounting`), each DONE
chunk one `chunk_started` and one `chunk_finished` with its batch and index, and all lines are of one build. Always:
what api, worker and beat write as JSON has a level and a build.

Cannot see: lines of a process that was killed before it could write them, so nothing is missed where there was harm;
whether a message says what happened.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

_ENDS = """
SELECT b.id, b.batch_key, NULL, e.event FROM batches b CROSS JOIN (SELECT 'batch_finished' AS event) e
WHERE b.status IN ('COMPLETED', 'FAILED')
  AND NOT EXISTS (SELECT 1 FROM log_lines l WHERE l.event = e.event AND l.batch = b.id)
UNION ALL
SELECT c.batch, b.batch_key, c.idx, e.event FROM chunks c JOIN batches b ON b.id = c.batch
CROSS JOIN (SELECT unnest(['chunk_started', 'chunk_finished']) AS event) e
WHERE c.status = 'DONE'
  AND NOT EXISTS (SELECT 1 FROM log_lines l WHERE l.event = e.event AND l.batch = c.batch AND l.idx = c.idx)
ORDER BY ALL
"""
_APP_LINES = "FROM log_lines WHERE line IS NOT NULL AND service IN ('api', 'worker', 'beat')"
_BARE = f"""
SELECT replica, coalesce(event, 'log') AS event, count(*), min(at_ms)
FROM (SELECT *, nullif(line->>'build', '') AS build {_APP_LINES})
WHERE level IS NULL OR build IS NULL GROUP BY ALL ORDER BY ALL
"""
_BUILDS = f"SELECT DISTINCT line->>'build' AS build {_APP_LINES} ORDER BY build"


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Steps without their line, then lines that do not say what wrote them."""
    found = [
        (
            f"{times} log lines of {replica} ({event}) have no level or no build",
            {"service": replica, "event": event, "first_seen_ms": first},
        )
        for replica, event, times, first in evidence.rows(_BARE)
    ]
    if evidence.expectations.is_control:
        found += [
            (
                f"batch {batch}{'' if idx is None else f', chunk {idx}'}: no log line {event} names it",
                {"batch": batch, "batch_key": key, "chunk": idx},
            )
            for batch, key, idx, event in evidence.rows(_ENDS)
        ]
        builds = [build for (build,) in evidence.rows(_BUILDS) if build]
        if len(builds) > 1:
            found.append((f"log lines of one stack name {len(builds)} builds: {', '.join(builds)}", {}))
    return tuple(named(Kind.SILENT, found))
