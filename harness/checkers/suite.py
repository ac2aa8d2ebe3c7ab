"""All checkers over one evidence; a checker that crashes makes the run INCONCLUSIVE, never VALID."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.anomaly import Anomaly, Kind
from harness.checkers import (
    accounting,
    aggregates,
    anchors,
    answers,
    crashed,
    dispatches,
    duplicates,
    effects,
    expiries,
    loss,
    loudness,
    marks,
    metrics,
    phantoms,
    records,
    recovery,
    secrecy,
    traces,
    vacuity,
)
from harness.checkers.fates import counts
from harness.checkers.tally import total_of
from harness.evidence.evidence import Evidence

Check = Callable[[Evidence], tuple[Anomaly, ...]]

# In the order in which a reader wants to hear of them.
CHECKERS: Mapping[str, Check] = {
    "loss": loss.check,
    "duplicates": duplicates.check,
    "phantoms": phantoms.check,
    "marks": marks.check,
    "records": records.check,
    "aggregates": aggregates.check,
    "anchors": anchors.check,
    "accounting": accounting.check,
    "dispatches": dispatches.check,
    "effects": effects.check,
    "answers": answers.check,
    "crashed": crashed.check,
    "recovery": recovery.check,
    "loudness": loudness.check,
    "traces": traces.check,
    "metrics": metrics.check,
    "expiries": expiries.check,
    "secrecy": secrecy.check,
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checkers say. `doubts` make a run without anomalies INCONCLUSIVE; `totals` count unnamed ones, too."""

    anomalies: tuple[Anomaly, ...]
    doubts: tuple[str, ...]
    counts: Mapping[str, int]
    totals: Mapping[Kind, int]


def check_all(evidence: Evidence, *, without: frozenset[str] = frozenset()) -> Findings:
    """Run every checker but those in `without`; the one place where a checker's error is caught."""
    found: list[Anomaly] = []
    doubts: list[str] = []
    for name, check in CHECKERS.items():
        if name in without:
            continue
        try:
            found += check(evidence)
        except Exception:  # noqa: BLE001 - the checkers' guard: the error becomes a doubt
            doubts.append(f"checker {name} crashed:\n{traceback.format_exc()}")
    try:
        doubts += vacuity.doubts(evidence)
        figures = counts(evidence)
    except Exception:  # noqa: BLE001 - the checkers' guard: the error becomes a doubt
        doubts.append(f"checker vacuity crashed:\n{traceback.format_exc()}")
        figures = {}
    totals = total_of(found)
    figures |= {
        "duplicated": totals.get(Kind.DUPLICATED, 0),
        "unexpected": totals.get(Kind.UNEXPECTED, 0),
        "phantom": totals.get(Kind.PHANTOM, 0),
    }
    return Findings(anomalies=tuple(found), doubts=tuple(doubts), counts=figures, totals=totals)
