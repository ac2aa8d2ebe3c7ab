"""Samples at places where those out of a random stream seldom lie, and careless code goes wrong.

What two people have in common to the last bit; two equally good sources in one hour; the hour that comes twice, and the
night of it, an hour longer or shorter than the clock says; what lasts for days and is of the first of them only; what
begins, or of sleep ends, at midnight to the second; the largest number that is allowed, on a day of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from harness.devices.sample import US_PER_S, Mark, Sample, Source
from harness.devices.streams import WINDOW_DAYS, WINDOW_START, Wearer
from harness.devices.types import SampleType, TypeKind

_MINUTE_US = 60 * US_PER_S
_NOON_US = int((WINDOW_START + timedelta(hours=36)).timestamp()) * US_PER_S
# By code point the capital letter comes first; sorted as words are, it does not.
_EVERYBODYS = (
    Source("com.example.everybody", "Everybody's watch", "watch"),
    Source("com.example.Everybody", "Everybody's Watch", "watch"),
)
_MIDNIGHT_DAY = 17  # of the window: nowhere is the clock changed then
_LARGEST_NAME = "largest"
_LARGEST = 1e100
"""The app's LARGEST; the lab keeps its own copy."""
_AWAY_US = 20 * _MINUTE_US
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US


def landmarks(kind: SampleType, *, owner: Wearer, prefix: str, mark: Mark) -> list[Sample]:
    """A type's landmarks: the same for all phones of one person, and the first two for everybody, UUIDs included."""
    value = kind.categories[-1] if kind.categories else kind.high
    spots = [
        (f"everybodys{turn}", kind.identifier, _NOON_US + turn * _MINUTE_US, _MINUTE_US, source)
        for turn, source in enumerate(_EVERYBODYS)
    ]
    if kind.kind is TypeKind.CUMULATIVE:
        for number, change_us in enumerate(clock_changes_us(owner.zone)):
            spots += [
                (f"before{number}", owner.watch.key, change_us - _AWAY_US, _MINUTE_US, owner.watch),
                (f"after{number}", owner.watch.key, change_us + _AWAY_US, _MINUTE_US, owner.phone),
            ]
    is_sleep = kind.kind is TypeKind.SLEEP
    midnight_us = _midnight_us(owner.zone)
    spots.append(
        ("midnight", owner.watch.key, midnight_us - _MINUTE_US if is_sleep else midnight_us, _MINUTE_US, owner.watch)
    )
    if is_sleep:
        spots += [
            (f"night{number}", owner.watch.key, change_us - 2 * _HOUR_US, 4 * _HOUR_US, owner.watch)
            for number, change_us in enumerate(clock_changes_us(owner.zone))
        ]
    else:  # of sleep a night of days would cover all others
        spots.append(("days", owner.watch.key, _NOON_US + 3 * _DAY_US, 6 * _DAY_US, owner.watch))
    if not kind.categories:
        spots.append((_LARGEST_NAME, owner.watch.key, _NOON_US - 5 * _DAY_US, _MINUTE_US, owner.watch))
    return [
        Sample(
            key=f"{prefix}/{name}",
            type=kind.identifier,
            start_us=start_us,
            end_us=start_us + length_us,
            # No two alike, so that it shows which of them was taken.
            value=_LARGEST if name == _LARGEST_NAME else value if isinstance(value, str) else value - turn,
            unit=kind.unit,
            source=source,
            uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{whose}/{kind.identifier}/{name}")),
            mark=mark,
        )
        for turn, (name, whose, start_us, length_us, source) in enumerate(spots)
    ]


def _midnight_us(zone: str) -> int:
    local = (WINDOW_START + timedelta(days=_MIDNIGHT_DAY)).replace(tzinfo=ZoneInfo(zone))
    return int(local.timestamp()) * US_PER_S


def clock_changes_us(zone: str) -> Iterator[int]:
    """The moments within the window at which the offset of `zone` changes, to the quarter of an hour."""
    local = ZoneInfo(zone)
    at, end = WINDOW_START, WINDOW_START + timedelta(days=WINDOW_DAYS)
    while at < end:
        following = at + timedelta(minutes=15)
        if _offset(following, local) != _offset(at, local):
            yield int(following.timestamp()) * US_PER_S
        at = following


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(UTC).astimezone(zone).utcoffset()
