"""Bounds of a load run: none is an absolute figure of the lab's; each comes from the stack's times or from this run.

- accepting: p95 outside faults, from a chunk's first attempt to its OK, within the publish bound: publishing is all
  that accepting may ever wait for. What is never accepted outside faults is an anomaly each.
- end to end: p95 outside faults, per chunk, within *overdue*: so long may a batch stand still before the app itself
  calls it overdue, and each chunk moves it once.
- throughput: no slower than the load offered, times the slack that every deadline of the lab has, plus the time that
  the fault's recovery is allowed.
- the load itself: visitors began on time, or the run does not say what it claims to say (a doubt, not an anomaly).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.anomaly import Anomaly, Kind
from harness.load.figures import Figures
from harness.times import SLACK, Times

LATE_SHARE: Final = 0.05
"""A start may be late by this part of the run; later, and the shape was another than the one asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a run is held to. Seconds; `recovery_s` is what a fault's outage and recovery may take."""

    accept_p95_s: float
    per_chunk_p95_s: float
    recovery_s: float = 0.0

    def anomalies(self, figures: Figures) -> tuple[Anomaly, ...]:
        """What is slower than it may be."""
        found = [
            Anomaly(kind=Kind.WRONG_ANSWER, summary=each.what, ids={"op": each.op, "device": each.device})
            for each in figures.unaccepted_calm
        ]
        if figures.accept_calm.p95_s > self.accept_p95_s:
            found.append(
                Anomaly(
                    kind=Kind.UNBOUNDED,
                    summary=f"accepting a chunk took {figures.accept_calm.p95_s:.3f} s at p95 of "
                    f"{figures.accept_calm.count}, allowed {self.accept_p95_s:g} s",
                    ids={"figure": "accept p95"},
                )
            )
        if figures.per_chunk_calm.p95_s > self.per_chunk_p95_s:
            found.append(
                Anomaly(
                    kind=Kind.LATE,
                    summary=f"a chunk took {figures.per_chunk_calm.p95_s:.2f} s from submitted to visible at p95 of "
                    f"{figures.per_chunk_calm.count} batches, allowed {self.per_chunk_p95_s:g} s",
                    ids={"figure": "end-to-end p95"},
                )
            )
        if figures.imported_per_s < self.least_per_s(figures):
            found.append(
                Anomaly(
                    kind=Kind.LATE,
                    summary=f"{figures.imported_per_s:.0f} samples/s were imported of {figures.offered_per_s:.0f} "
                    f"offered, at least {self.least_per_s(figures):.0f} must be",
                    ids={"figure": "throughput"},
                )
            )
        return tuple(found)

    def doubts(self, figures: Figures) -> tuple[str, ...]:
        """Why the figures do not mean what they say."""
        found = []
        allowed_s = LATE_SHARE * figures.offered_s
        if figures.late_starts.p95_s > allowed_s:
            found.append(
                f"visitors began {figures.late_starts.p95_s:.2f} s late at p95, allowed {allowed_s:.2f} s: more "
                "PROCESSES, or less RATE"
            )
        if not figures.end_to_end.count:
            found.append("no batch was seen to become visible, so end-to-end latency was not measured")
        return tuple(found)

    def least_per_s(self, figures: Figures) -> float:
        """The throughput below which the stack fell behind its load."""
        most_s = SLACK * figures.offered_s + self.recovery_s
        return figures.offered / most_s if most_s else 0.0


def bounds_of(
    times: Times,
    *,
    recovery_s: float,
    accept_p95_s: float | None,
    per_chunk_p95_s: float | None,
) -> Bounds:
    """The bounds that follow from the stack's times, or those that were asked for."""
    return Bounds(
        accept_p95_s=times.publish_bound_s if accept_p95_s is None else accept_p95_s,
        per_chunk_p95_s=times.overdue_s if per_chunk_p95_s is None else per_chunk_p95_s,
        recovery_s=recovery_s,
    )
