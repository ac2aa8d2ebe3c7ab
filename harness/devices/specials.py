"""Samples that are meant to trip an importer up: near twins, duplicates, conflicts, and every kind of bad sample."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.devices.sample import US_PER_S, Mark, Sample, Source, Spelling, spell_time
from harness.devices.streams import Wearer, new_uuid
from harness.devices.types import BY_IDENTIFIER, SAMPLE_TYPES, SampleType, TypeKind

_MS = 1000
_FAR_FUTURE_US = 4_102_444_800 * US_PER_S  # 2100-01-01
# What HealthKit gives where other units are preferred: right numbers of another size.
_OTHER_UNITS = {"kg": "lb", "m": "km", "kcal": "kJ", "ms": "s", "count/min": "count/s", "%": "1", "count": "1"}
_LONG_AGO_US = 915_148_800 * US_PER_S  # 1999-01-01


def near_twins(sample: Sample, *, wearer: Wearer, prefix: str, rng: random.Random) -> list[Sample]:
    """Valid samples that differ from `sample` in one field each: start, end, value, source."""
    kind = BY_IDENTIFIER[sample.type]
    others = [each for each in wearer.sources() if each != sample.source]
    twins = [
        replace(sample, start_us=sample.start_us - _MS),
        replace(sample, end_us=sample.end_us + _MS),
        replace(sample, value=_other_value(kind, sample.value)),
        replace(sample, source=rng.choice(others)),
    ]
    return [
        replace(twin, key=f"{prefix}/twin{number}", uuid=new_uuid(rng) if number % 2 else None)
        for number, twin in enumerate(twins)
    ]


def duplicates(sample: Sample, *, prefix: str, rng: random.Random) -> list[Sample]:
    """Samples with the content of `sample`: its own UUID, another one, none, and every other spelling."""
    again = replace(sample, mark=Mark.DUPLICATE)
    copies = [again, replace(again, uuid=new_uuid(rng)), replace(again, uuid=None)]
    copies += [sample.respelt(spelling, key="") for spelling in Spelling if spelling is not Spelling.PLAIN]
    return [replace(copy, key=f"{prefix}/copy{number}") for number, copy in enumerate(copies)]


def conflict(sample: Sample, *, prefix: str, rng: random.Random) -> Sample:
    """Another content under the UUID of `sample`, which must have one; never the content of a near twin."""
    kind = BY_IDENTIFIER[sample.type]
    change = rng.randrange(3)
    changed = (
        replace(sample, value=_other_value(kind, _other_value(kind, sample.value)))
        if change == 0
        else replace(sample, start_us=sample.start_us - 2 * _MS)
        if change == 1
        else replace(sample, end_us=sample.end_us + 2 * _MS)
    )
    return replace(changed, key=f"{prefix}/conflict", mark=Mark.CONFLICT, reason="uuid_conflict")


def _other_value(kind: SampleType, value: float | str) -> float | str:
    if isinstance(value, str):
        names = kind.categories
        return names[(names.index(value) + 1) % len(names)]
    # The neighbouring float64: only a full-precision store tells the two apart.
    return math.nextafter(value, math.inf)


def bad_samples(sample: Sample, *, prefix: str, rng: random.Random) -> Iterator[Sample]:
    """One sample for each way to be bad, made from a good one; each has a UUID of its own where it can carry one."""
    for number, (reason, make) in enumerate(_BAD):
        base = replace(
            sample,
            key=f"{prefix}/bad{number}",
            uuid=new_uuid(rng),
            mark=Mark.BAD,
            reason=reason,
            spelling=Spelling.PLAIN,
        )
        made = make(base)
        if made is not None:
            yield made


def _edited(sample: Sample, **fields: object) -> Sample:
    """`sample` sent with some top-level JSON fields replaced."""
    return replace(sample, raw=json.dumps({**json.loads(sample.as_json()), **fields}))


def _raw(text: str) -> Callable[[Sample], Sample]:
    return lambda sample: replace(sample, raw=text)


def _without(field: str) -> Callable[[Sample], Sample]:
    def make(sample: Sample) -> Sample:
        fields = json.loads(sample.as_json())
        del fields[field]
        return replace(sample, raw=json.dumps(fields))

    return make


def _for_numbers(make: Callable[[Sample], Sample]) -> Callable[[Sample], Sample | None]:
    return lambda sample: make(sample) if BY_IDENTIFIER[sample.type].is_numeric else None


def _negative(sample: Sample) -> Sample | None:
    is_cumulative = BY_IDENTIFIER[sample.type].kind is TypeKind.CUMULATIVE
    return replace(sample, value=-5.0) if is_cumulative else None


def _in_other_unit(sample: Sample) -> Sample:
    unit = _OTHER_UNITS.get(sample.unit or "", "count")
    return replace(sample, unit=unit, value=sample.value if isinstance(sample.value, str) else sample.value * 2.2)


def _of_other_type(sample: Sample) -> Sample:
    other = next(each for each in SAMPLE_TYPES if each.identifier != sample.type)
    return replace(sample, type=other.identifier, value=(other.low + other.high) / 2, unit=other.unit)


def _no_source(sample: Sample) -> Sample:
    return _edited(sample, source=None)


def _with_source(**changes: str) -> Callable[[Sample], Sample]:
    def make(sample: Sample) -> Sample:
        fields = {"id": sample.source.key, "name": sample.source.name, "kind": sample.source.kind, **changes}
        return replace(sample, source=Source(fields["id"], fields["name"], fields["kind"]))

    return make


def _with_odd_source(**changes: str) -> Callable[[Sample], Sample]:
    """For text that JSON can escape and a store may not hold: only what is sent carries it."""
    return lambda sample: _edited(sample, source={**json.loads(sample.as_json())["source"], **changes})


def _no_zone(sample: Sample) -> Sample:
    return _edited(sample, start=spell_time(sample.start_us).removesuffix("Z"))


_BAD: tuple[tuple[str, Callable[[Sample], Sample | None]], ...] = (
    ("malformed", _raw("42")),
    ("malformed", _raw("null")),
    ("malformed", _raw('"a sample"')),
    ("malformed", _raw("[]")),
    ("malformed", _raw("{}")),
    ("malformed", _without("type")),
    ("malformed", lambda each: _edited(each, uuid="not a uuid")),
    ("unknown_type", lambda each: replace(each, type="HKQuantityTypeIdentifierUnheardOf")),
    ("wrong_type", _of_other_type),
    ("wrong_unit", _in_other_unit),
    ("wrong_unit", _for_numbers(lambda each: replace(each, unit=None))),
    ("bad_value", lambda each: replace(each, value="no such value")),
    ("bad_value", lambda each: _edited(each, value=True)),
    ("bad_value", lambda each: _edited(each, value=None)),
    ("bad_value", _without("value")),
    ("bad_value", _negative),
    ("bad_value", _for_numbers(lambda each: _edited(each, value=10**200))),
    ("bad_value", _for_numbers(lambda each: _edited(each, value=-(10**200)))),
    ("bad_time", lambda each: _edited(each, start="yesterday")),
    ("bad_time", _no_zone),
    ("bad_time", lambda each: replace(each, end_us=each.start_us - US_PER_S)),
    ("bad_time", lambda each: replace(each, start_us=_FAR_FUTURE_US, end_us=_FAR_FUTURE_US)),
    ("bad_time", lambda each: replace(each, start_us=_LONG_AGO_US, end_us=_LONG_AGO_US)),
    ("bad_time", lambda each: replace(each, end_us=each.start_us + 8 * 86_400 * US_PER_S)),
    ("bad_source", _no_source),
    ("bad_source", _with_source(id="")),
    ("bad_source", _with_source(kind="toaster")),
    ("bad_source", _with_odd_source(id="a.watch\0")),
    ("bad_source", _with_odd_source(name="A\0watch")),
    ("bad_source", _with_odd_source(id="half a sign \ud83d")),
    ("bad_source", _with_odd_source(name="half a sign \ud83d")),
)
BAD_REASONS_MADE = frozenset(reason for reason, _ in _BAD)
