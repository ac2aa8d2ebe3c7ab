"""What the words of a report mean, in one sentence each."""

from __future__ import annotations

import re
from types import MappingProxyType

from markupsafe import Markup, escape

from harness.anomaly import Kind

MEANINGS = MappingProxyType(
    {
        Kind.LOST: "a phone was told that its sample is kept; at the end it is in no table and no message brings it",
        Kind.LATE: "what must be there in time is not: at the deadline only a message carries a sample that a phone "
        "was told is kept; or a reminder, tick, claim, chunk or figure of a load run is past its bound",
        Kind.DUPLICATED: "one sample, tick or reminder has more than one effect",
        Kind.PHANTOM: "a phone was told that nothing was kept, and yet it is stored",
        Kind.UNEXPECTED: "a record is stored that no phone ever sent",
        Kind.GIVEN_UP: "a chunk failed for good that the scenario does not allow to fail",
        Kind.WRONGLY_REJECTED: "a good sample was rejected, or a bad one for another reason than its own",
        Kind.WRONGLY_IMPORTED: "a bad sample was stored as a record",
        Kind.WRONG_RECORD: "a stored record differs from what was sent",
        Kind.WRONG_AGGREGATE: "a daily figure differs from one recomputed from the records",
        Kind.WRONG_ANCHOR: "an anchor is ahead of committed data, moved back, or is stuck",
        Kind.WRONG_ACCOUNTING: "the counters of a batch or a chunk do not add up",
        Kind.WRONG_ANSWER: "the API answered what its contract does not allow",
        Kind.MISSED_EFFECT: "a due job or reminder never happened and nobody reported it",
        Kind.SILENT: "something failed and no log, metric or health check said so",
        Kind.FALSE_ALARM: "a health check, an alarm or a log complained of what was not wrong",
        Kind.FALSE_METRIC: "a metric of the app disagrees with a witness outside it",
        Kind.LEAKED: "a log line holds a health value, a reminder's text, a code or a secret",
        Kind.CRASHED: "a service ended without being told to",
        Kind.NOT_REFUSED: "a service started although its configuration is wrong",
        Kind.UNBOUNDED: "something took longer, or grew larger, than its bound",
        Kind.NOT_RECOVERED: "after the heal the stack did not come back to a steady state in time",
    }
)

FOLLOWS = MappingProxyType(
    {
        Kind.WRONGLY_IMPORTED: "a sample that conflicts with a lost one is no conflict any more",
        Kind.WRONG_ACCOUNTING: "what was lost or doubled is missing or too much in the counters",
        Kind.WRONG_AGGREGATE: "a figure is computed from the records that are there",
        Kind.WRONG_ANCHOR: "an anchor moves when its batch has ended, over what was lost in it, too",
        Kind.GIVEN_UP: "a chunk that fails for good has lost its way before",
        Kind.SILENT: "what was lost was lost without a word",
    }
)
"""Kinds that may follow from a graver one on the same chunk or batch, and why."""

WORDS = MappingProxyType(
    {
        "VALID": "every invariant held, and the fault is proven to have bitten",
        "INVALID": "at least one counter-example; each is named by its ids",
        "INCONCLUSIVE": "nothing can be said: no receipt, a checker that failed, or nothing to check",
        "SKIPPED": "this machine or driver cannot do what the scenario needs",
        "sample": "one measurement of a phone. The lab names it user/device/type/number: r-u1/d0/HeartRate/4529.0 was "
        "made up for user r-u1's device d0, as the first (0) of time slot 4529; names that end in bad22, conflict, "
        "again or late are of samples made to be refused, doubled or late",
        "batch": "one import of one type of data from one device; it is sent in chunks",
        "chunk": "a numbered part of a batch, uploaded in one request, imported in one transaction by one worker",
        "position": "a sample's place in its chunk, from 0",
        "raw form": "the samples of a chunk as the phone sent them; kept in Postgres until the chunk is DONE",
        "claim": "a worker's mark on the row of a chunk or delivery: nobody else may run it; free when its holder dies",
        "takeover": "a claim whose holder is gone is taken from it, so that another worker can execute the chunk again",
        "anchor": "the point up to which a device may forget its data of one type, since all before it is imported",
        "sweep": "the periodic look for work that does not move, which publishes its messages again",
        "driver": "what starts the stack: containers (Docker Compose) or processes (nothing but Python packages)",
        "inject, bite, heal": "when harm was asked for, when it was seen to take effect, and when it was undone",
        "hold": "the phase in which the fault is left as it is, until it is healed",
        "quiesce": "the phase after the heal in which the lab waits until nothing is in flight any more",
        "receipt": "one source outside the app, read before and after the fault; the two readings differ",
        "acknowledged": "what a phone was told is kept: samples of an upload, a reminder",
        "present": "acknowledged or attempted samples that are a record in Postgres at the end",
        "recovered": "samples of requests that got no answer, yet are stored: allowed",
        "phantom": "stored, although the phone was told for sure that it was not",
        "unexpected": "stored, although no phone ever sent it",
        "given up": "acknowledged samples in chunks that failed for good; kept raw, and can be re-driven",
        "cleaned": "records removed by retention; their fingerprints remain",
        "unacked": "messages that Redis gave to a worker which has not confirmed them; those of a killed worker stay "
        "until the visibility timeout. A message carries ids, never samples",
        "plan": "one scenario as it is played: with or without its fault, with or without a planted defect",
        "planted": "a known-bad configuration or piece of code that the scenario must turn INVALID for",
        "changed": "files differed from the commit when the run began (the work tree was dirty), so the revision alone "
        "does not reproduce it. A patch does not count: it goes into a copy of app/",
    }
)

TIMES = MappingProxyType(
    {
        "CHUNK_SOFT_LIMIT_S": "a chunk's task is asked to stop",
        "CHUNK_HARD_LIMIT_S": "a chunk's process is killed",
        "CLAIM_TIMEOUT_S": "a frozen holder's claim may be taken over",
        "CLIENT_CHECK_INTERVAL_S": "Postgres looks whether a client is still there",
        "SWEEP_INTERVAL_S": "between two sweeps for work that does not move",
        "VISIBILITY_TIMEOUT_S": "unacked messages come back",
        "SOFT_SHUTDOWN_S": "for running tasks after a stop signal",
        "STOP_TIMEOUT_S": "between SIGTERM and SIGKILL",
        "CHUNK_RETRY_DELAYS_S": "before a chunk's retries after data errors",
        "PUBLISH_BOUND_S": "the longest that anybody waits for a publish",
        "BROKER_CONNECT_TIMEOUT_S": "connecting to Redis",
        "BROKER_READ_TIMEOUT_S": "waiting for an answer of Redis",
        "STATEMENT_TIMEOUT_S": "one SQL statement",
        "LOCK_TIMEOUT_S": "waiting for one lock in Postgres",
        "IDLE_IN_TRANSACTION_TIMEOUT_S": "a session idle inside a transaction",
        "BEAT_LEASE_S": "how long a beat leads without renewing",
        "BEAT_RENEW_S": "between two renewals of beat's lease",
        "OVERDUE_S": "work that has not moved for so long is a problem",
        "REMINDER_INTERVAL_S": "between two looks for due reminders",
    }
)
"""What each of the stack's times bounds."""

_LINKED = (
    *("sample", "batch", "chunk", "position", "raw form", "claim", "takeover", "anchor", "sweep", "quiesce", "driver"),
    *("receipt", "acknowledged", "phantom", "unexpected", "given up", "unacked", "planted"),
)
"""Words that are linked wherever they stand; the others only where they stand alone."""
_TERM = re.compile(r"\b(" + "|".join(_LINKED) + r")(?:s|es)?\b")


def explained(text: str) -> Markup:
    """The text with the first occurrence of each word of the glossary linked to its entry, which is its tooltip too."""
    if text in WORDS:
        return _link(text, text)
    seen: set[str] = set()

    def linked(match: re.Match[str]) -> str:
        word = match.group(1)
        if word in seen:
            return match.group()
        seen.add(word)
        return _link(word, match.group())

    return Markup(_TERM.sub(linked, str(escape(text))))


def _link(word: str, written: str) -> Markup:
    return Markup('<a class="term" href="#{}" title="{}">{}</a>').format(address(word), WORDS[word], written)


def address(word: str) -> str:
    """A word's place in the page's glossary."""
    return "w-" + re.sub(r"[^a-z]+", "-", word.lower())


def meaning(kind: str) -> str:
    """What an anomaly of this kind is; empty for a kind that this version does not know."""
    return MEANINGS[Kind(kind)] if kind in set(Kind) else ""


def spoken(kind: str) -> str:
    """A kind as a sentence begins with it: `not_recovered` is `Not recovered`."""
    return kind.replace("_", " ").capitalize()


FAMILIES = MappingProxyType(
    {
        "W": "Workers die",
        "B": "The broker fails",
        "T": "Time",
        "S": "The scheduler",
        "P": "Postgres fails",
        "C": "Configuration",
        "D": "Deploys",
        "E": "Effects",
        "A": "The API, its phones",
        "L": "Retention",
        "M": "Monitoring",
        "X": "Mixed",
        "CONTROL": "Control",
        "LOAD": "Load runs",
        "PLAY": "Played by hand",
    }
)


def family(identity: str) -> str:
    """The family of a scenario's id: `W6` is `Workers die`. What has no number is a family of its own."""
    letter = identity.rstrip("0123456789")
    return FAMILIES.get(letter, letter)
