"""Local time without SQL's own time zones: the offsets of a zone as a table of intervals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_QUARTER_S = 900


@dataclass(frozen=True, slots=True)
class Offset:
    """From `from_ms` (UTC, until the next one) local time is UTC plus `offset_s`."""

    zone: str
    from_ms: int
    offset_s: int


def offsets(zone: str, *, from_ms: int, to_ms: int) -> list[Offset]:
    """A zone's offsets in a span, by time; the first begins at (or before) `from_ms`.

    Clocks change at whole quarters of an hour in every zone since 1972; between days the step is found by bisection.
    """
    info = ZoneInfo(zone)

    def offset_at(at_s: int) -> int:
        delta = datetime.fromtimestamp(at_s, UTC).astimezone(info).utcoffset()
        return 0 if delta is None else int(delta.total_seconds())

    at_s = from_ms // 1000 // 86_400 * 86_400
    found = [Offset(zone, at_s * 1000, offset_at(at_s))]
    while at_s * 1000 <= to_ms:
        next_s = at_s + 86_400
        if offset_at(next_s) != found[-1].offset_s:
            low, high = at_s, next_s
            while high - low > _QUARTER_S:
                middle = (low + high) // 2 // _QUARTER_S * _QUARTER_S
                if offset_at(middle) == found[-1].offset_s:
                    low = middle
                else:
                    high = middle
            found.append(Offset(zone, high * 1000, offset_at(high)))
        at_s = next_s
    return found
