"""Invariant: in a control, whoever makes work ready sends its message, once; the sweeper does not do it in their place.

*Sent by the sweeper*: a message of a chunk with a line `sweep_redispatched` beside it. Every ended batch had a message
of its own, which only the upload of its last chunk sends. Of the DONE chunks at most a quarter had messages from the
sweeper only, and at most a twentieth more than two; three of each are allowed where there are few. On a crowded machine
the sweeper takes a late message for a lost one: a fifth of the chunks were seen to be sent a second time, hardly one a
third time. A publish that is noted as failed excuses its batch or chunk. By counts, not by times: imports that wait for
a sweep are complete in the end, and only slower. What must not wait behind imports (reminders, the sweep) is on a queue
of its own.

Cannot see: anything where nobody listened to Redis; messages that would be sent again if any waited for long; how soon
a message was sent.
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

FEW = 3
SWEPT_SHARE = 0.25
REPEATED_SHARE = 0.05
MOST_MESSAGES = 2
_FAILED = "SELECT batch, idx FROM log_lines WHERE event = 'publish_failed' AND batch IS NOT NULL"
_UNSENT_BATCHES = f"""
SELECT b.id, b.batch_key FROM batches b
WHERE b.status IN ('COMPLETED', 'FAILED')
  AND NOT EXISTS (SELECT 1 FROM publishes p WHERE p.task = 'healthkit.import_batch' AND p.batch = b.id)
  AND NOT EXISTS (SELECT 1 FROM ({_FAILED}) f WHERE f.batch = b.id AND f.idx IS NULL)
ORDER BY b.id
"""
_MESSAGES = f"""
SELECT c.batch, b.batch_key, c.idx, coalesce(p.sent, 0), coalesce(s.swept, 0)
FROM chunks c JOIN batches b ON b.id = c.batch
LEFT JOIN (SELECT batch, idx, count(*) AS sent FROM publishes
           WHERE task = 'healthkit.import_chunk' AND NOT is_redelivered GROUP BY batch, idx) p USING (batch, idx)
LEFT JOIN (SELECT batch, idx, count(*) AS swept FROM log_lines
           WHERE event = 'sweep_redispatched' GROUP BY batch, idx) s USING (batch, idx)
LEFT JOIN (SELECT DISTINCT batch, idx FROM ({_FAILED})) f USING (batch, idx)
WHERE c.status = 'DONE' AND f.batch IS NULL ORDER BY c.batch, c.idx
"""
_WAITING_BEHIND_IMPORTS = """
SELECT task, queue, count(*), min(message_id) FROM publishes
WHERE (starts_with(task, 'reminders.') OR task = 'healthkit.sweep') AND queue <> 'high' GROUP BY ALL ORDER BY ALL
"""
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Batches without a message, chunks that only the sweeper sent or that were sent over and over, the wrong queue."""
    if not evidence.expectations.is_control or not evidence.rows("SELECT 1 FROM publishes LIMIT 1"):
        return ()
    found: list[_Found] = [
        (f"batch {batch} ended, and nobody sent its import_batch", {"batch": batch, "batch_key": key})
        for batch, key in evidence.rows(_UNSENT_BATCHES)
    ]
    messages = evidence.rows(_MESSAGES)
    swept: list[_Found] = [
        (
            f"chunk {idx} of batch {batch} had its message from the sweeper only",
            {"batch": batch, "batch_key": key, "chunk": idx},
        )
        for batch, key, idx, sent, by_sweeper in messages
        if sent <= by_sweeper
    ]
    repeated: list[_Found] = [
        (f"chunk {idx} of batch {batch} was sent {sent} times", {"batch": batch, "batch_key": key, "chunk": idx})
        for batch, key, idx, sent, _ in messages
        if sent > MOST_MESSAGES
    ]
    for each, share in ((swept, SWEPT_SHARE), (repeated, REPEATED_SHARE)):
        found += each if len(each) > max(FEW, share * len(messages)) else []
    found += [
        (f"{times} messages of {task} were put on queue {queue}, behind the imports", {"task": task, "message": first})
        for task, queue, times, first in evidence.rows(_WAITING_BEHIND_IMPORTS)
    ]
    return tuple(named(Kind.WRONG_ACCOUNTING, found))
