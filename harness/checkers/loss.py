"""Invariant: every acknowledged sample is present, rejected, given up where that was declared, or cleaned.

*Acknowledged*: uploadChunk answered OK for its chunk. *Lost*: none of these at the deadline, and no message carries its
batch. *Late*: the same, but a message does. *Given up*: its chunk FAILED for good with the raw samples kept; an anomaly
unless the scenario names the chunk. What was never stored is named before what waits.

Cannot see: loss of what was never acknowledged, which no one promised; a record that was there and is gone again while
an equal one of the same user is present.
"""

from __future__ import annotations

from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.checkers.fates import settle
from harness.checkers.tally import NAMED, named
from harness.evidence.evidence import Evidence

_WORDS = {
    "gone": "acknowledged, and neither a record nor a rejected row nor its raw form is there",
    "waiting": "acknowledged, still raw in a PENDING chunk, and no message carries it",
    "late": "acknowledged, still raw in a PENDING chunk at the deadline; a message carries its batch",
}
_MISSES = """
SELECT fate, sample, user, device, batch_key, batch, idx, position, mark, count(*) OVER () AS total
FROM misses WHERE told = 'OK' AND fate IN (SELECT unnest($fates))
ORDER BY fate = 'waiting', batch_key, idx, position LIMIT $limit
"""
_GIVEN_UP = """
SELECT s.batch_key, s.idx, any_value(c.batch), any_value(c.last_error), count(*), min(s.sample)
FROM fates f JOIN samples s ON s.rowid = f.rid LEFT JOIN chunks c ON c.id = f.chunk_id
WHERE f.fate = 'given_up' AND f.told = 'OK' GROUP BY s.batch_key, s.idx ORDER BY s.batch_key, s.idx
"""


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Lost, late and given up, in this order."""
    settle(evidence)
    return (
        *_missing(evidence, Kind.LOST, ("gone", "waiting")),
        *_missing(evidence, Kind.LATE, ("late",)),
        *_given_up(evidence),
    )


def _missing(evidence: Evidence, kind: Kind, fates: tuple[str, ...]) -> list[Anomaly]:
    rows = evidence.rows(_MISSES, {"fates": list(fates), "limit": NAMED})
    found: list[tuple[str, dict[str, Any]]] = [
        (
            f"{mark} sample {sample}: {_WORDS[fate]}",
            {
                "sample": sample,
                "user": user,
                "device": device,
                "batch_key": batch_key,
                "batch": batch,
                "chunk": idx,
                "position": position,
            },
        )
        for fate, sample, user, device, batch_key, batch, idx, position, mark, _total in rows
    ]
    return named(kind, found, total=rows[0][-1] if rows else 0)


def _given_up(evidence: Evidence) -> list[Anomaly]:
    """One anomaly a chunk: its samples share one fate."""
    declared = evidence.expectations.may_give_up
    return named(
        Kind.GIVEN_UP,
        [
            (
                f"chunk {idx} of batch {batch_key} FAILED for good with {samples} acknowledged samples ({error})",
                {"batch_key": batch_key, "batch": batch, "chunk": idx, "sample": first},
            )
            for batch_key, idx, batch, error, samples, first in evidence.rows(_GIVEN_UP)
            if (batch_key, idx) not in declared
        ],
    )
