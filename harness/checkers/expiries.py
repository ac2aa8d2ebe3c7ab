"""Invariant: whatever the app keeps in Redis beside its queues expires.

The cache shares its Redis with the broker, which must not evict: a counter or a code that nobody removes fills it in
the end, and then nothing can be published. Read once, when the run is over.

Cannot see: values that are not plain (lists, hashes, sets); how long an expiry is.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import named
from harness.evidence.evidence import Evidence


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Each key that stays for ever."""
    keys = evidence.rows("SELECT key FROM immortal_keys ORDER BY key")
    return tuple(named(Kind.UNBOUNDED, [(f"the key {key} in Redis never expires", {"key": key}) for (key,) in keys]))
