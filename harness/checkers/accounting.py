"""Invariant: batches, chunks and their counters add up, every state is one that its rows allow, and each ends once.

*Ended*: COMPLETED (all chunks DONE or FAILED, at least one DONE), FAILED (all FAILED), ABANDONED (declared: a phone
left it unfinished). A DONE chunk's imported + duplicate + rejected samples are the samples that were sent for it; its
rejected count is the number of unresolved rejected rows, its imported count the number of its records (unless
cleaned). No claim is left on what has ended. Executions are exact where the scenario declares them. No chunk counts a
data error unless a fault refused its data: what the stores do to it is not its fault, and must not use up its tries.
In a control every chunk runs once, without an infrastructure error and without being interrupted: a claim that is taken
over from a holder that lives is work done twice.

Cannot see: how often a chunk's work was begun by a process that died before its claim was committed.
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

_BATCHES = """
SELECT b.id, b.batch_key, b.status, b.chunk_count, b.uploaded_count, b.done_count, b.failed_count,
       b.finished_ms IS NOT NULL AS has_end, count(c.id) AS rows_, count(*) FILTER (c.status = 'DONE') AS done,
       count(*) FILTER (c.status = 'FAILED') AS failed,
       b.batch_key IN (SELECT batch_key FROM unfinished) AS is_unfinished
FROM batches b LEFT JOIN chunks c ON c.batch = b.id GROUP BY ALL ORDER BY b.id
"""
_CHUNKS = """
SELECT c.batch, b.batch_key, c.idx, c.status, c.sample_count, s.sent, c.imported_count, c.duplicate_count,
       c.rejected_count, coalesce(r.records, 0), coalesce(j.rejected, 0), c.executions, c.is_claimed,
       c.finished_ms IS NOT NULL, c.has_raw, c.data_attempts, c.interruptions, c.infra_attempts
FROM chunks c JOIN batches b ON b.id = c.batch
LEFT JOIN (SELECT batch_key, idx, count(*) AS sent FROM samples GROUP BY batch_key, idx) s
       ON s.batch_key = b.batch_key AND s.idx = c.idx
LEFT JOIN (SELECT chunk_id, count(*) AS records FROM records GROUP BY chunk_id) r ON r.chunk_id = c.id
LEFT JOIN (SELECT chunk_id, count(*) AS rejected FROM rejected WHERE NOT is_resolved GROUP BY chunk_id) j
       ON j.chunk_id = c.id
ORDER BY c.batch, c.idx
"""
_ENDED_TWICE = """
SELECT batch, count(*) FROM log_lines WHERE event = 'batch_finished' AND batch IS NOT NULL
  AND batch NOT IN (SELECT batch FROM redriven) GROUP BY batch HAVING count(*) > 1 ORDER BY batch
"""
# Faults that make the data themselves refused.
OF_DATA = ("refuse_sample",)
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Batches, then chunks, then what ended more than once."""
    settle(evidence)
    found: list[_Found] = []
    for row in evidence.rows(_BATCHES):
        found += _batch_problems(evidence, row)
    for row in evidence.rows(_CHUNKS):
        found += _chunk_problems(evidence, row)
    found += [
        (f"batch {batch} was finalised {times} times by the log", {"batch": batch})
        for batch, times in evidence.rows(_ENDED_TWICE)
    ]
    return tuple(named(Kind.WRONG_ACCOUNTING, found))


def _batch_problems(evidence: Evidence, row: tuple[Any, ...]) -> list[_Found]:
    batch, key, status, chunks, uploaded, done, failed, has_end, rows_, is_done, is_failed, is_unfinished = row
    ids = {"batch": batch, "batch_key": key}
    problems = []
    if (uploaded, done, failed) != (rows_, is_done, is_failed):
        problems.append(
            f"counts {uploaded} uploaded, {done} done, {failed} failed; its chunks say {rows_}, {is_done}, {is_failed}"
        )
    ended = is_done + is_failed
    allowed = _allowed_states(chunks=chunks, rows_=rows_, done=is_done, ended=ended)
    is_abandonable = key in evidence.expectations.must_abandon
    if is_abandonable:
        allowed = {"ABANDONED"}
    elif is_unfinished:
        allowed = {"PENDING"}
    if status not in allowed:
        words = " or ".join(sorted(allowed))
        problems.append(
            f"is {status}; with {is_done} DONE and {is_failed} FAILED of {chunks} chunks it must be {words}"
        )
    # An ABANDONED batch ends when what had arrived of it is imported.
    if not has_end and (status in ("COMPLETED", "FAILED") or (status == "ABANDONED" and ended == rows_)):
        problems.append(f"is {status} without an end time")
    return [(f"batch {batch} {problem}", ids) for problem in problems]


def _allowed_states(*, chunks: int, rows_: int, done: int, ended: int) -> set[str]:
    if rows_ < chunks:
        return {"PENDING"}
    if ended < chunks:
        return {"PROCESSING"}
    return {"COMPLETED"} if done else {"FAILED"}


def _chunk_problems(evidence: Evidence, row: tuple[Any, ...]) -> list[_Found]:
    (batch, key, idx, status, count, sent, imported, duplicate, rejected, records, rejects, executions, is_claimed,
     has_end, has_raw, data_attempts, interruptions, infra_attempts) = row  # fmt: skip
    expected = evidence.expectations
    problems = []
    if sent is not None and sent != count:
        problems.append(f"holds {count} samples, {sent} were sent")
    if status == "DONE":
        if imported + duplicate + rejected != count:
            problems.append(f"counts {imported} imported + {duplicate} duplicate + {rejected} rejected of {count}")
        if not expected.may_clean and imported != records:
            problems.append(f"counts {imported} imported, but {records} records are of it")
        if rejected != rejects:
            problems.append(f"counts {rejected} rejected, but {rejects} rejected rows are of it")
        if executions < 1:
            problems.append("is DONE without an execution")
    elif records:
        problems.append(f"is {status}, yet {records} records are of it")
    if status == "FAILED" and not has_raw:
        problems.append("FAILED for good without its raw samples")
    if status != "PENDING" and (is_claimed or not has_end):
        problems.append(f"is {status} with {'a claim' if is_claimed else 'no end time'}")
    if data_attempts > 4:
        problems.append(f"ran {data_attempts} times with data errors; 4 is the limit")
    elif data_attempts and not any(fault.name in OF_DATA for fault in evidence.faults):
        problems.append(f"counts {data_attempts} data errors, though nothing was wrong with its data")
    if interruptions > 10:
        problems.append(f"was interrupted {interruptions} times; 10 is the limit")
    elif expected.is_control and (interruptions or infra_attempts or executions > 1):
        problems.append(
            f"ran {executions} times, with {interruptions} interruptions and {infra_attempts} infrastructure errors, "
            "though nothing was harmed"
        )
    wanted = expected.executions.get((key, idx))
    if wanted is not None and executions != wanted:
        problems.append(f"ran {executions} times; {wanted} expected")
    ids = {"batch": batch, "batch_key": key, "chunk": idx}
    return [(f"chunk {idx} of batch {batch} {problem}", ids) for problem in problems]
