"""The states of the services over time, from the watch's readings and the faults' own records.

A reading tells what a health check last said, which may be seconds old; a fault that was seen to stop its target knows
better until the first reading that has noticed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from harness.report.record import FaultRecord

MAX_GAP_S = 3.0
"""Longer without a reading, and a state is not drawn through: nobody knows."""
Row = dict[str, Any]
"""A replica and its spans: [from, to, state], in seconds after the start."""


def spans(readings: Sequence[tuple[datetime, object]], start: datetime) -> list[Row]:
    """Per replica, the spans in which its state did not change.

    The first readings may know no states yet. A replica that is healthy in the first one that does was so before: no
    work begins until all are.
    """
    rows: dict[str, list[list[Any]]] = {}
    first = readings[0][0] if readings else start
    for moment, states in readings:
        if not isinstance(states, Mapping):
            continue
        at = since(moment, start)
        for replica, state in states.items():
            found = rows.setdefault(str(replica), [])
            is_first = not found
            is_gap = is_first or at - found[-1][1] > MAX_GAP_S
            if not is_gap:
                found[-1][1] = at
            if is_gap or found[-1][2] != state:
                found.append([at, at, str(state)])
            if is_first and state == "healthy" and at - since(first, start) <= MAX_GAP_S:
                found[-1][0] = 0.0
    return [{"replica": replica, "spans": found} for replica, found in sorted(rows.items(), key=_service_order)]


def with_faults(rows: Sequence[Row], faults: Sequence[FaultRecord], start: datetime) -> list[Row]:
    """The same with what the faults' receipts prove: down or frozen from the injection on."""
    told = [{"replica": row["replica"], "spans": list(row["spans"])} for row in rows]
    for fault in faults:
        state = _proven(fault)
        if not state or fault.injected_at is None or fault.bitten_at is None:
            continue
        begin, bite = since(fault.injected_at, start), since(fault.bitten_at, start)
        heal = since(fault.healed_at, start) if fault.healed_at is not None else float("inf")
        for row in told:
            if row["replica"] == fault.target:
                row["spans"] = _overlaid(row["spans"], begin, _noticed(row["spans"], bite, heal), state)
    return told


def _proven(fault: FaultRecord) -> str:
    if fault.after.startswith("down"):
        return "down"
    return "frozen" if "processes stopped" in fault.after else ""


def _noticed(found: Sequence[Sequence[Any]], bite: float, heal: float) -> float:
    """When the readings first say, after the bite, that all is not well; the heal at the latest."""
    ends: list[float] = [end for _, end, _ in found]
    noticed: list[float] = [begin for begin, _, state in found if begin >= bite and state != "healthy"]
    return min([*noticed, heal, max(ends)])


def _overlaid(found: Sequence[Sequence[Any]], begin: float, end: float, state: str) -> list[list[Any]]:
    kept: list[list[Any]] = []
    for first, last, name in found:
        if name != "healthy" or last <= begin or first >= end:
            kept.append([first, last, name])
            continue
        if first < begin:
            kept.append([first, begin, name])
        if last > end:
            kept.append([end, last, name])
    if end > begin:
        kept.append([begin, end, state])
    return _joined(sorted(kept, key=lambda span: (span[0], span[1])))


def _joined(found: Sequence[Sequence[Any]]) -> list[list[Any]]:
    joined: list[list[Any]] = []
    for first, last, name in found:
        if joined and joined[-1][2] == name and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last, name])
    return joined


def since(at: datetime, start: datetime) -> float:
    """Seconds after the start, with two decimals."""
    return round((at - start).total_seconds(), 2)


def _service_order(item: tuple[str, object]) -> tuple[int, str]:
    order = ("api", "worker", "beat", "redis", "postgres")
    service = item[0].partition("-")[0]
    return (order.index(service) if service in order else len(order), item[0])
