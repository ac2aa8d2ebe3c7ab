"""When a run was under harm: what may legitimately repeat or be late there, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from harness.evidence.evidence import Evidence
from harness.receipt import Injected

Window = tuple[int, int]

# Faults that only add something, or concern one phone or sample: they interrupt nobody, so they excuse no repeat.
ADDING = ("add_beat", "mistype_entry", "vanish_phone", "refuse_sample", "age_records")


def ms_of(at: datetime) -> int:
    """An aware stamp as milliseconds since the epoch."""
    return int(at.timestamp() * 1000)


def windows(evidence: Evidence, *, settle_s: float = 0.0, touching: Iterable[str] = ()) -> tuple[Window, ...]:
    """From injection to heal plus `settle_s` of each interrupting fault (of those that name one of `touching`)."""
    wanted = tuple(touching)
    end = ms_of(evidence.ended_at) if evidence.ended_at is not None else 2**62
    return tuple(
        (ms_of(fault.injected_at), (ms_of(fault.healed_at) if fault.healed_at else end) + int(settle_s * 1000))
        for fault in evidence.faults
        if fault.name not in ADDING and (not wanted or _touches(fault, wanted))
    )


def _touches(fault: Injected, wanted: tuple[str, ...]) -> bool:
    return any(word in fault.target or word in fault.name for word in wanted)


def overlap(found: Iterable[Window], from_ms: int, to_ms: int) -> bool:
    """Whether any window has a moment in common with a span."""
    return any(begin <= to_ms and end >= from_ms for begin, end in found)


def reached(found: Iterable[Window], from_ms: int, to_ms: int) -> int:
    """The latest end of the windows that overlap a span; its start when none does."""
    return max([from_ms, *(end for begin, end in found if begin <= to_ms and end >= from_ms)])
