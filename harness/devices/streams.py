"""Real-shaped HealthKit data: what the devices of one person record in thirty days.

Times are microseconds since the epoch, on whole milliseconds. The window holds the days on which clocks change in
North America (March 8), Europe (March 29) and Australia (April 5): days of 23, 25 and 24.5 or 23.5 hours.
"""

from __future__ import annotations

import math
import random
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from harness.devices.sample import US_PER_S, Sample, Source
from harness.devices.types import SampleType, TypeKind

WINDOW_START = datetime(2026, 3, 7, tzinfo=UTC)
WINDOW_DAYS = 30
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Adelaide",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "UTC",
    "Pacific/Auckland",
    "Asia/Tokyo",
)
_MS = 1000
_HOUR_S = 3600
DAY_S = 86_400
# How often watch, phone and third party record a slot of a cumulative type.
_CUMULATIVE_ODDS = (0.8, 0.7, 0.15)


@dataclass(frozen=True, slots=True)
class Wearer:
    """One person's recording devices and time zone."""

    zone: str
    watch: Source
    phone: Source
    third_party: Source

    def sources(self) -> tuple[Source, Source, Source]:
        """All of them, best first."""
        return self.watch, self.phone, self.third_party


def wearer(*, user: str, zone: str) -> Wearer:
    """A person's sources; their names hold what trips up careless code (apostrophe, umlaut, emoji, superscript)."""
    return Wearer(
        zone=zone,
        watch=Source(f"com.apple.health.{user}.Watch", f"Zoë {user}'s Watch ⌚", "watch"),
        phone=Source(f"com.apple.health.{user}.Phone", f"{user}'s iPhone", "phone"),
        third_party=Source(f"de.läufer².{user}", f"Läufer & Söhne {user}", "third_party"),
    )


def new_uuid(rng: random.Random) -> str:
    """A random UUID out of the run's one seed."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def slot_count(kind: SampleType, *, days: int) -> int:
    """How many slots `days` days have: moments at which a type may be recorded (sleep: nights)."""
    return days if kind.kind is TypeKind.SLEEP else days * DAY_S // kind.every_s


def samples_per_slot(kind: SampleType) -> float:
    """About how many samples a slot holds."""
    match kind.kind:
        case TypeKind.SLEEP:
            return 11.0
        case TypeKind.CUMULATIVE:
            return sum(_CUMULATIVE_ODDS)
        case TypeKind.DISCRETE | TypeKind.CATEGORY:
            return 1.0


def samples_at(kind: SampleType, slot: int, *, wearer: Wearer, prefix: str, seed: str, start: datetime) -> list[Sample]:
    """What was recorded in one slot, by time: the same whoever asks and whatever was asked before."""
    # A seed of its own per slot, so that a thin plan costs what it holds and two phones see one health store.
    rng = random.Random(zlib.crc32(f"{seed}/{kind.name}".encode()) << 32 | slot)
    spans = (
        _night(wearer=wearer, rng=rng, start=start, night=slot)
        if kind.kind is TypeKind.SLEEP
        else _readings(kind, wearer=wearer, rng=rng, at_s=int(start.timestamp()) + slot * kind.every_s)
    )
    return [
        Sample(
            key=f"{prefix}/{slot}.{number}",
            type=kind.identifier,
            start_us=start_us,
            end_us=end_us,
            value=value,
            unit=kind.unit,
            source=source,
            uuid=None if source.kind == "third_party" and rng.random() < 0.5 else new_uuid(rng),
        )
        for number, (start_us, end_us, value, source) in enumerate(spans)
    ]


_Span = tuple[int, int, float | str, Source]


def _readings(kind: SampleType, *, wearer: Wearer, rng: random.Random, at_s: int) -> Iterator[_Span]:
    hour = datetime.fromtimestamp(at_s, ZoneInfo(wearer.zone)).hour
    for source in _recording(kind, wearer=wearer, rng=rng):
        # Every eighth starts exactly on the grid, so that hour and day borders are hit; the rest is ragged.
        jitter_ms = 0 if rng.random() < 0.125 else rng.randrange(min(kind.every_s, 240) * 1000)
        start_us = at_s * US_PER_S + jitter_ms * _MS
        length_us = kind.every_s * US_PER_S if kind.kind is TypeKind.CUMULATIVE else 0
        yield start_us, start_us + length_us, _value(kind, hour=hour, rng=rng), source


def _recording(kind: SampleType, *, wearer: Wearer, rng: random.Random) -> tuple[Source, ...]:
    if kind.kind is not TypeKind.CUMULATIVE:
        return (wearer.watch,) if rng.random() < 0.93 else (wearer.third_party,)
    return tuple(
        source for source, chance in zip(wearer.sources(), _CUMULATIVE_ODDS, strict=True) if rng.random() < chance
    )


def _value(kind: SampleType, *, hour: int, rng: random.Random) -> float | str:
    if kind.categories:
        return rng.choice(kind.categories)
    awake = 0.15 + 0.85 * max(0.0, math.sin((hour - 6) / 18 * math.pi))
    value = kind.low + (kind.high - kind.low) * awake * rng.random()
    return float(round(value)) if kind.digits == 0 else round(value, kind.digits)


def _night(*, wearer: Wearer, rng: random.Random, start: datetime, night: int) -> Iterator[_Span]:
    zone = ZoneInfo(wearer.zone)
    evening = (start + timedelta(days=night)).astimezone(zone).date()
    # Bedtimes from before to after midnight; the wall clock is what people go to bed by.
    bed = datetime(evening.year, evening.month, evening.day, 21, 30, tzinfo=zone)
    bed_s = int(bed.timestamp()) + rng.randrange(3 * _HOUR_S)
    yield from _one_night(wearer=wearer, rng=rng, bed_us=bed_s * US_PER_S + rng.randrange(1000) * _MS)


def _one_night(*, wearer: Wearer, rng: random.Random, bed_us: int) -> Iterator[_Span]:
    """The watch's stages, a phone's in-bed span around them and a third party's view that overlaps both."""
    wake_us = bed_us + rng.randrange(6 * _HOUR_S, 9 * _HOUR_S) * US_PER_S
    yield bed_us, wake_us, "inBed", wearer.phone
    at_us = bed_us + rng.randrange(60, 1800) * US_PER_S
    for stage in ("asleepCore", "asleepDeep", "asleepCore", "asleepREM", "awake") * 2:
        until_us = min(wake_us, at_us + rng.randrange(600, 5400) * US_PER_S)
        if until_us <= at_us:
            break
        yield at_us, until_us, stage, wearer.watch
        # Stages touch, overlap a little or leave a gap.
        at_us = until_us + rng.choice((0, -90, 120)) * US_PER_S
    middle_us = bed_us + (wake_us - bed_us) // 2 // _MS * _MS
    yield bed_us + 900 * US_PER_S, middle_us, "asleepUnspecified", wearer.third_party
    if rng.random() < 0.3:
        nap_us = wake_us + 6 * _HOUR_S * US_PER_S
        yield nap_us, nap_us + rng.randrange(600, 3600) * US_PER_S, "asleepUnspecified", wearer.watch
