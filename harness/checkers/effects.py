"""Invariant: every reminder reaches the gateway once, on time, as ordered; every due time of the schedule is run once.

*Accepted*: a request that the receiver answered with 2xx. Every request carries a key, the receiver's only means to
tell a repeat from another reminder, and a key is of one (reminder, due time) only. Two keys for one (reminder, due
time) are `duplicated`; so is a repeat with the same key after it was accepted, unless a fault was in flight around it
(then it is *redelivered*: the gateway folds it by its key). *Missed*: acknowledged by createReminder and never
accepted, although noted as sent, or due and nothing moves any more, or due before the end of the run less the allowed
lateness. *Late*: accepted after the allowed lateness, counted from the due time, from when it was ordered if that was
later, or from the end of the fault that stood in the way. Early, altered or unordered reminders are wrong.

A *tick* (entry, due time) is done once and published once (unless a fault stood between two publishes of it); between
the first and last due time of an entry each interval has a row, done or reported as missed (where a store was away:
unless a fault, or `tick_slack_s` after it, overlaps the interval). *Overtaken*: published, and a later tick is done;
within `tick_slack_s` it is done or reported, too, counted from the end of a fault that stood in the way. Where the
scheduler under test writes no ticks, MONITOR must have seen no more publishes of an entry's task than its interval
allows.

Cannot see: a request that the receiver never read; whether a person read the reminder; due times of crontabs, which no
entry of the lab's has (tests of the app do).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.checkers.windows import ms_of, overlap, reached, windows
from harness.evidence.evidence import Evidence

SETTLE_S = 5.0
_RECEIVED = """
SELECT reminder_id, due_ms, list({'key': key, 'at_ms': at_ms, 'text': text, 'status': status} ORDER BY at_ms)
FROM received GROUP BY reminder_id, due_ms ORDER BY reminder_id, due_ms
"""
_ORDERED = """
SELECT facts->>'reminder_id', any_value(facts->>'key'), any_value(facts->>'text'),
       min(greatest(epoch_ms(CAST(facts->>'due' AS TIMESTAMPTZ)), ended_ms))
FROM ops WHERE kind = 'create_reminder' AND outcome = 'OK' GROUP BY ALL ORDER BY ALL
"""
_UNTOLD = "SELECT id, text, due_ms FROM reminders"
_SAID_TO_BE_SENT = "SELECT DISTINCT CAST(reminder_id AS VARCHAR) FROM deliveries WHERE status = 'sent'"
_TICKS_TWICE = "SELECT entry, due_ms, count(*) FROM ticks GROUP BY entry, due_ms HAVING count(*) > 1 ORDER BY ALL"
_TICK_GAPS = """
SELECT t.entry, t.due_ms, t.next_ms, e.every_s FROM (
    SELECT entry, due_ms, lead(due_ms) OVER (PARTITION BY entry ORDER BY due_ms) AS next_ms FROM ticks) t
JOIN entries e ON e.name = t.entry
WHERE e.every_s IS NOT NULL AND t.next_ms - t.due_ms > 1500 * e.every_s ORDER BY ALL
"""
_OVERTAKEN_TICKS = """
SELECT t.entry, t.due_ms, t.status, greatest(coalesce(t.published_ms, t.due_ms), min(o.done_ms)), max(o.done_ms)
FROM ticks t JOIN ticks o ON o.entry = t.entry AND o.due_ms > t.due_ms AND o.status = 'done'
WHERE t.status IN ('claimed', 'published') GROUP BY t.entry, t.due_ms, t.status, t.published_ms ORDER BY ALL
"""
_PUBLISHED_TICKS = """
SELECT tick, list(at_ms ORDER BY at_ms) FROM publishes
WHERE tick IS NOT NULL AND NOT is_redelivered GROUP BY tick HAVING count(*) > 1 ORDER BY tick
"""
_PUBLISH_RATES = """
SELECT e.name, e.task, e.every_s, count(*) AS publishes, min(p.at_ms), max(p.at_ms)
FROM entries e JOIN publishes p ON p.task = e.task
WHERE p.tick IS NULL AND NOT p.is_redelivered AND e.every_s IS NOT NULL GROUP BY ALL ORDER BY e.name
"""
_NO_KEYS = frozenset({None, "", "None", "null"})
_Found = tuple[str, dict[str, Any]]


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Reminders, then ticks."""
    ordered = {
        reminder_id: (key, text, owed_ms) for reminder_id, key, text, owed_ms in evidence.rows(_ORDERED) if reminder_id
    }
    received = {(reminder_id, due_ms): requests for reminder_id, due_ms, requests in evidence.rows(_RECEIVED)}
    return (
        *_repeated(evidence, received),
        *_altered(evidence, received),
        *_unkeyed(received),
        *_missed(evidence, ordered, received),
        *_doubled_ticks(evidence),
        *_missed_ticks(evidence),
    )


def redelivered(evidence: Evidence) -> int:
    """How many requests repeated one that was accepted before, with the same key."""
    rows = evidence.rows(
        "SELECT count(*) - count(DISTINCT key) FROM received WHERE status IS NOT NULL AND status < 300"
    )
    return int(rows[0][0])


def _is_accepted(request: dict[str, Any]) -> bool:
    return request["status"] is not None and 200 <= request["status"] < 300


def _repeated(evidence: Evidence, received: dict[tuple[str, int], list[dict[str, Any]]]) -> list[Anomaly]:
    harmed = windows(evidence, settle_s=SETTLE_S)
    found: list[_Found] = []
    for (reminder, _due_ms), requests in received.items():
        keys = sorted({str(request["key"]) for request in requests})
        if len(keys) > 1:
            found.append((f"reminder {reminder} was sent under {len(keys)} keys", {"reminder": reminder, "keys": keys}))
            continue
        accepted = [request for request in requests if _is_accepted(request)]
        for first, second in pairwise(accepted):
            if not overlap(harmed, first["at_ms"], second["at_ms"]):
                words = (
                    f"reminder {reminder} was sent again {second['at_ms'] - first['at_ms']} ms after it was accepted"
                )
                found.append((words, {"reminder": reminder, "key": keys[0]}))
    return named(Kind.DUPLICATED, found)


def _unkeyed(received: dict[tuple[str, int], list[dict[str, Any]]]) -> list[Anomaly]:
    """Requests that the gateway could not tell apart: it would fold two reminders into one, or a repeat into none."""
    found: list[_Found] = []
    of_key: dict[str, set[tuple[str, int]]] = {}
    for (reminder, due_ms), requests in received.items():
        keys = {request["key"] for request in requests}
        if keys & _NO_KEYS:
            found.append((f"reminder {reminder} was sent without an idempotency key", {"reminder": reminder}))
        for key in keys - _NO_KEYS:
            of_key.setdefault(key, set()).add((reminder, due_ms))
    found += [
        (f"{len(reminders)} reminders were sent under one key", {"reminder": min(reminders)[0], "key": key})
        for key, reminders in of_key.items()
        if len(reminders) > 1
    ]
    return named(Kind.WRONG_RECORD, found)


def _altered(evidence: Evidence, received: dict[tuple[str, int], list[dict[str, Any]]]) -> list[Anomaly]:
    known = {str(reminder): (text, due_ms) for reminder, text, due_ms in evidence.rows(_UNTOLD)}
    sent_to = evidence.rows("SELECT facts->>'text' FROM ops WHERE kind = 'create_reminder'")
    texts = {text for (text,) in sent_to}
    wrong: list[_Found] = []
    unordered: list[_Found] = []
    for (reminder, due_ms), requests in received.items():
        ids = {"reminder": reminder, "key": requests[0]["key"]}
        if reminder not in known or known[reminder][0] not in texts:
            unordered.append((f"reminder {reminder} was sent, but no device ordered it", ids))
            continue
        text, wanted_ms = known[reminder]
        if due_ms != wanted_ms:
            wrong.append((f"reminder {reminder} was sent for another due time than ordered", ids))
        if any(request["text"] != text for request in requests):
            wrong.append((f"reminder {reminder} was sent with another text than ordered", ids))
        if requests[0]["at_ms"] < wanted_ms:
            wrong.append((f"reminder {reminder} was sent {wanted_ms - requests[0]['at_ms']} ms before it was due", ids))
    return [*named(Kind.WRONG_RECORD, wrong), *named(Kind.UNEXPECTED, unordered)]


def _missed(
    evidence: Evidence,
    ordered: dict[str, tuple[str, str, int]],
    received: dict[tuple[str, int], list[dict[str, Any]]],
) -> list[Anomaly]:
    late_ms = int(evidence.expectations.reminder_late_s * 1000)
    end_ms = ms_of(evidence.ended_at) if evidence.ended_at is not None else None
    harmed = windows(evidence)
    first_accepted: dict[str, int] = {}
    for (reminder, _due_ms), requests in received.items():
        for request in requests:
            if _is_accepted(request):
                first_accepted.setdefault(reminder, request["at_ms"])
    said_to_be_sent = {reminder for (reminder,) in evidence.rows(_SAID_TO_BE_SENT)}
    missed: list[_Found] = []
    late: list[_Found] = []
    for reminder, (key, _text, owed_ms) in ordered.items():
        ids = {"reminder": reminder, "key": key}
        at_ms = first_accepted.get(reminder)
        # A fault that stood in the way while it was due moves the moment from which lateness counts.
        limit_ms = reached(harmed, owed_ms, owed_ms + late_ms) + late_ms
        # Where nothing moves, what was not sent by now never will be.
        sent_by_ms = limit_ms if evidence.moving else owed_ms
        if at_ms is None and reminder in said_to_be_sent:
            missed.append((f"reminder {reminder} ({key}) is noted as sent, but the gateway never took it", ids))
        elif at_ms is None and end_ms is not None and end_ms > sent_by_ms:
            missed.append((f"reminder {reminder} ({key}) was acknowledged and never sent", ids))
        elif at_ms is not None and at_ms > limit_ms:
            late.append(
                (f"reminder {reminder} ({key}) was sent {(at_ms - owed_ms) / 1000:.1f} s after it was due", ids)
            )
    return [*named(Kind.MISSED_EFFECT, missed), *named(Kind.LATE, late)]


def _doubled_ticks(evidence: Evidence) -> list[Anomaly]:
    harmed = windows(evidence, settle_s=SETTLE_S)
    doubled: list[_Found] = [
        (f"tick {entry} due at {due_ms} has {times} rows", {"entry": entry, "due_ms": due_ms})
        for entry, due_ms, times in evidence.rows(_TICKS_TWICE)
    ]
    for tick, stamps in evidence.rows(_PUBLISHED_TICKS):
        if not all(overlap(harmed, first, second) for first, second in pairwise(stamps)):
            doubled.append((f"tick {tick} was published {len(stamps)} times", {"tick": tick}))
    for entry, task, every_s, publishes, first_ms, last_ms in evidence.rows(_PUBLISH_RATES):
        allowed = (last_ms - first_ms) / 1000 / every_s * 1.25 + 2
        if publishes > allowed:
            span_s = (last_ms - first_ms) / 1000
            words = f"{task} was published {publishes} times in {span_s:.1f} s; it is due every {every_s:g} s"
            doubled.append((words, {"entry": entry, "task": task}))
    return named(Kind.DUPLICATED, doubled)


def _missed_ticks(evidence: Evidence) -> list[Anomaly]:
    slack_s = evidence.expectations.tick_slack_s
    slack_ms = int(slack_s * 1000)
    excusable = evidence.expectations.may_miss_ticks
    excused = windows(evidence, settle_s=slack_s)
    missed: list[_Found] = [
        (
            f"{entry}: no tick, done or reported missed, between {due_ms} and {next_ms} (due every {every_s:g} s)",
            {"entry": entry, "due_ms": due_ms},
        )
        for entry, due_ms, next_ms, every_s in evidence.rows(_TICK_GAPS)
        if not (entry in excusable and overlap(excused, due_ms, next_ms))
    ]
    harmed = windows(evidence)
    missed += [
        (f"tick {entry} due at {due_ms} is {status}, though later ones are done", {"entry": entry, "due_ms": due_ms})
        for entry, due_ms, status, overtaken_ms, last_done_ms in evidence.rows(_OVERTAKEN_TICKS)
        if last_done_ms > reached(harmed, overtaken_ms, overtaken_ms + slack_ms) + slack_ms
    ]
    return named(Kind.MISSED_EFFECT, missed)
