"""Naming many anomalies without drowning in them: the first are named one by one, the rest counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.anomaly import MORE, Anomaly, Kind

NAMED = 200


def named(kind: Kind, found: Sequence[tuple[str, Mapping[str, Any]]], *, total: int | None = None) -> list[Anomaly]:
    """Anomalies of one kind from (summary, ids) pairs; at most NAMED, then one that says how many more there are."""
    anomalies = [
        Anomaly(kind, summary, {name: str(value) for name, value in ids.items() if value is not None})
        for summary, ids in found[:NAMED]
    ]
    more = (len(found) if total is None else total) - len(anomalies)
    if more > 0:
        anomalies.append(Anomaly(kind, f"and {more} more of this kind", {MORE: str(more)}))
    return anomalies


def total_of(anomalies: Iterable[Anomaly]) -> dict[Kind, int]:
    """How many anomalies of each kind, those counted but not named included."""
    totals: dict[Kind, int] = {}
    for each in anomalies:
        totals[each.kind] = totals.get(each.kind, 0) + each.number
    return totals
