"""Invariant: no replica exits without being told to, and one that must refuse to start does so with exit code 78.

*Told*: the lab stopped, signalled or killed it. *Refusal*: exit 78 by a replica that the scenario names.

Cannot see: a child that died while its main process lived; that is for witnesses and logs.
"""

from __future__ import annotations

from harness.anomaly import Anomaly, Kind
from harness.evidence.evidence import Evidence

REFUSED = 78


def check(evidence: Evidence) -> tuple[Anomaly, ...]:
    """Exits that nobody asked for, and refusals that did not come."""
    expected = evidence.expectations
    found: list[Anomaly] = []
    for each in evidence.exits:
        if not (each.is_told or each.replica in expected.refusals):
            summary = f"{each.replica} exited with code {each.code} without being told to"
            found.append(Anomaly(Kind.CRASHED, summary, {"service": each.replica, "exit_code": str(each.code)}))
    for replica in sorted(expected.refusals):
        codes = [each.code for each in evidence.exits if each.replica == replica]
        if REFUSED not in codes:
            seen = f"exited with {codes[-1]}" if codes else "did not exit"
            summary = f"{replica} must refuse to start with exit code {REFUSED}; it {seen}"
            found.append(Anomaly(Kind.NOT_REFUSED, summary, {"service": replica}))
    return tuple(found)
