"""Shapes of load: which part of the full arrival rate holds at which part of the run."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import assert_never


class LoadShape(StrEnum):
    """How the arrival rate goes over a run."""

    RAMP = "ramp"
    """From a tenth of the rate to all of it at four fifths of the run, then level."""
    STEADY = "steady"
    """The same rate throughout."""
    SPIKE = "spike"
    """The morning: a fifth of the rate all day, and a hump up to all of it before the middle."""
    SOAK = "soak"
    """Half the rate for long: what grows without bound shows."""


# A soak's phones send whole months: at this rate it brings about sixty of them, 1.6 million samples.
DEFAULT_RATE_PER_S = {LoadShape.RAMP: 0.5, LoadShape.STEADY: 0.5, LoadShape.SPIKE: 0.5, LoadShape.SOAK: 0.07}
DEFAULT_RUN_TIME_S = {LoadShape.RAMP: 60.0, LoadShape.STEADY: 30.0, LoadShape.SPIKE: 60.0, LoadShape.SOAK: 1800.0}
_SPIKE_AT, _SPIKE_WIDTH = 0.4, 0.08


def share(shape: LoadShape, at: float) -> float:
    """Part of the full rate, 0..1, at the part `at`, 0..1, of the run."""
    match shape:
        case LoadShape.RAMP:
            return min(1.0, 0.1 + 0.9 * at / 0.8)
        case LoadShape.STEADY:
            return 1.0
        case LoadShape.SPIKE:
            return 0.2 + 0.8 * math.exp(-(((at - _SPIKE_AT) / _SPIKE_WIDTH) ** 2) / 2)
        case LoadShape.SOAK:
            return 0.5
        case _:
            assert_never(shape)
