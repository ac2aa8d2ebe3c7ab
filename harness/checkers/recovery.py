"""Invariant: what was healed works again within its bound, requests stay bounded, and nothing is left in flight.

*Bound*: a figure that the experiment measured, with its limit (`evidence.bounds`); one that never came has no figure.
*Whole*: at the end every replica is healthy. *In flight*: what quiesce still saw at its deadline, and messages whose
batch, tick or reminder is not finished. An entry left in `unacked` is allowed while its work is finished and it is
younger than `unacked_bound_s`. No single request may outlast its own bound by more than a second.

Cannot see: recovery that was not measured.
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence

_LEFT = """
SELECT m.place, m.queue, m.task, m.message_id, m.batch, m.idx, m.age_s,
       CASE WHEN m.batch IS NOT NULL AND m.idx IS NOT NULL THEN coalesce(c.status IN ('DONE', 'FAILED'), false)
            WHEN m.batch IS NOT NULL THEN coalesce(b.status IN ('COMPLETED', 'FAILED', 'ABANDONED'), false)
            WHEN m.delivery IS NOT NULL THEN coalesce(d.status IN ('sent', 'failed'), false)
            ELSE true END AS is_finished
FROM messages m LEFT JOIN batches b ON b.id = m.batch LEFT JOIN chunks c ON c.batch = m.batch AND c.idx = m.idx
LEFT JOIN deliveries d ON CAST(d.id AS VARCHAR) = m.delivery ORDER BY m.place, m.queue, m.message_id
"""
_SLOW = """
SELECT op, kind, device, max(CAST(a->>'took_s' AS DOUBLE)) AS took_s, any_value(a->>'replica')
FROM (SELECT op, kind, device, unnest(CAST(attempts AS JSON[])) AS a FROM ops)
GROUP BY op, kind, device HAVING took_s > $bound_s ORDER BY took_s DESC
"""
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Bounds, states, requests, and what is left in flight."""
    return (*_bounds(evidence), *_states(evidence), *_slow(evidence), *_left(evidence))


def _bounds(evidence: Evidence) -> list[Anomaly]:
    found = []
    for bound in evidence.bounds:
        if bound.took_s is None or bound.took_s > bound.bound_s:
            took = "had not come at the deadline" if bound.took_s is None else f"took {bound.took_s:.1f} s"
            ids = {"bound": bound.name, **bound.ids}
            found.append(Anomaly(bound.kind, f"{bound.name} {took}; the bound is {bound.bound_s:.1f} s", ids))
    return found


def _states(evidence: Evidence) -> list[Anomaly]:
    broken: list[_Found] = [
        (f"{replica} is {state} at the end", {"service": replica})
        for replica, state in sorted(evidence.states.items())
        if state != "healthy" and replica not in evidence.expectations.refusals
    ]
    return named(Kind.NOT_RECOVERED, broken)


def _slow(evidence: Evidence) -> list[Anomaly]:
    bound_s = evidence.expectations.request_bound_s
    slow: list[_Found] = [
        (f"{kind} of {device} waited {took_s:.1f} s for {replica}; the bound is {bound_s:.1f} s", {"op": op})
        for op, kind, device, took_s, replica in evidence.rows(_SLOW, {"bound_s": bound_s + 1.0})
    ]
    return named(Kind.UNBOUNDED, slow)


def _left(evidence: Evidence) -> list[Anomaly]:
    found: list[_Found] = [(f"still in flight at the deadline: {each}", {"moving": each}) for each in evidence.moving]
    bound_s = evidence.expectations.unacked_bound_s
    for place, queue, task, message, batch, idx, age_s, is_finished in evidence.rows(_LEFT):
        ids = {"message": message, "task": task, "batch": batch, "chunk": idx}
        if place == "queue" and is_finished and batch is not None:
            found.append((f"{task} still lies in queue {queue}, its work is finished", ids))
        elif place == "unacked" and is_finished and age_s is not None and age_s > bound_s:
            found.append((f"{task} is unacked for {age_s:.0f} s; redelivery is due within {bound_s:.0f} s", ids))
        elif not is_finished:
            found.append((f"{task} is {place if place == 'unacked' else 'queued'} and its work is not finished", ids))
    return named(Kind.NOT_RECOVERED, found)
