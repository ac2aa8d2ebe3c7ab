"""Invariant: a run that proves nothing is never VALID.

Nothing is proven when too little was acknowledged, when a fault is missing or left no sound receipt, when a declared
witness saw nothing, when the lab itself failed somewhere, or when a phone stopped in the middle of its upload.

Cannot see: a receipt that is sound and means something else than was thought.
"""

from __future__ import annotations

from harness.checkers.fates import counts, settle
from harness.evidence.evidence import Evidence
from harness.receipt import doubts_about


def doubts(evidence: Evidence) -> tuple[str, ...]:
    """Why this run would be INCONCLUSIVE; empty when it proves something."""
    settle(evidence)
    expected = evidence.expectations
    found = [
        f"the lab failed: {error.strip().splitlines()[-1]} ({error.strip()[:200]})" for error in evidence.lab_errors
    ]
    acknowledged = counts(evidence)["acknowledged"]
    if acknowledged < expected.least_acknowledged:
        found.append(f"{acknowledged} samples were acknowledged, at least {expected.least_acknowledged} must be")
    if expected.has_faults and not expected.is_control:
        if not evidence.faults:
            found.append("no fault was injected")
        for fault in evidence.faults:
            found += doubts_about(fault)
    found += [f"the witness {name!r} saw nothing" for name in expected.witnesses if not evidence.witnesses.get(name)]
    unfinished = [key for (key,) in evidence.rows("SELECT batch_key FROM unfinished ORDER BY batch_key")]
    stray = [key for key in unfinished if key not in expected.must_abandon]
    if stray:
        found.append(f"{len(stray)} uploads were not finished by their phones, the first {stray[0]}")
    return tuple(found)
