"""The lab's own copy of what the app seeds: sample types, their units and kinds, and the precedence of sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class TypeKind(StrEnum):
    """How a type is aggregated per day."""

    CUMULATIVE = "cumulative"
    DISCRETE = "discrete"
    SLEEP = "sleep"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class SampleType:
    """One HealthKit type. `unit` is None and `categories` not empty for category types.

    `every_s` is how often a phone records it, `low`..`high` the range of its values, `digits` their decimals.
    """

    name: str
    identifier: str
    kind: TypeKind
    unit: str | None
    every_s: int
    low: float = 0.0
    high: float = 0.0
    digits: int = 0
    categories: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        """Whether its samples carry a number."""
        return not self.categories


def _quantity(name: str, kind: TypeKind, unit: str, every_s: int, low: float, high: float, digits: int) -> SampleType:
    return SampleType(name, f"HKQuantityTypeIdentifier{name}", kind, unit, every_s, low, high, digits)


_HOUR_S = 3600
_DAY_S = 86_400
SLEEP_STAGES = ("inBed", "awake", "asleepUnspecified", "asleepCore", "asleepDeep", "asleepREM")
ASLEEP_STAGES = ("asleepUnspecified", "asleepCore", "asleepDeep", "asleepREM")

SAMPLE_TYPES: tuple[SampleType, ...] = (
    _quantity("HeartRate", TypeKind.DISCRETE, "count/min", 300, 48, 175, 0),
    _quantity("StepCount", TypeKind.CUMULATIVE, "count", 600, 0, 900, 0),
    _quantity("DistanceWalkingRunning", TypeKind.CUMULATIVE, "m", 600, 0, 700, 2),
    _quantity("ActiveEnergyBurned", TypeKind.CUMULATIVE, "kcal", 600, 0, 60, 3),
    _quantity("HeartRateVariabilitySDNN", TypeKind.DISCRETE, "ms", 4 * _HOUR_S, 15, 120, 4),
    _quantity("OxygenSaturation", TypeKind.DISCRETE, "%", 2 * _HOUR_S, 0.9, 1.0, 3),
    _quantity("RestingHeartRate", TypeKind.DISCRETE, "count/min", _DAY_S, 45, 75, 0),
    _quantity("BodyMass", TypeKind.DISCRETE, "kg", _DAY_S, 50, 110, 1),
    SampleType(
        "SleepAnalysis",
        "HKCategoryTypeIdentifierSleepAnalysis",
        TypeKind.SLEEP,
        None,
        _DAY_S // 12,
        categories=SLEEP_STAGES,
    ),
    SampleType(
        "MenstrualFlow",
        "HKCategoryTypeIdentifierMenstrualFlow",
        TypeKind.CATEGORY,
        None,
        _DAY_S,
        categories=("unspecified", "none", "light", "medium", "heavy"),
    ),
)
BY_IDENTIFIER: Mapping[str, SampleType] = {each.identifier: each for each in SAMPLE_TYPES}

# Lowest wins (docs/aggregates.md).
PRECEDENCE: Mapping[str, int] = {"watch": 1, "phone": 2, "third_party": 3}

# Why a sample can be kept as rejected; a closed list. `day_closed` needs retention and comes from no generator.
REJECTION_REASONS = (
    "malformed",
    "unknown_type",
    "wrong_unit",
    "bad_value",
    "bad_time",
    "bad_source",
    "uuid_conflict",
    "day_closed",
    "wrong_type",
)
