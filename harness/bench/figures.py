"""Arithmetic of benchmarks: medians of interleaved rounds, ratios, percentiles, slopes. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median

# By figure (goal, floor): what it must reach (ratios of throughput) or not exceed (all others). A cost that grows by a
# tenth per tenfold of records, and a worker that keeps 34 bytes of each of a million samples, count as flat.
LIMITS: Mapping[str, tuple[float, float]] = {
    "import_vs_update_or_create": (30.0, 15.0),
    "import_vs_copy": (0.5, 0.25),
    "accept_p95_vs_plain": (1.5, 2.0),
    "round_trips_per_chunk": (10.0, 10.0),
    "cost_slope": (0.1, 0.25),
    "worker_rss_growth_mib": (32.0, 64.0),
    "check_10m_s": (60.0, 90.0),
    "check_10m_peak_mib": (1024.0, 1024.0),
}
HIGHER_IS_BETTER = ("import_vs_update_or_create", "import_vs_copy")


def ratio_of_rounds(rounds: Sequence[Mapping[str, float]], over: str, under: str) -> float:
    """Median over the rounds of `over` / `under`, each taken within one round. Raises: ValueError without rounds."""
    if not rounds:
        raise ValueError("a ratio needs at least one round")
    return median(each[over] / each[under] for each in rounds)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile, `share` in 0..1. Raises: ValueError without values."""
    if not values:
        raise ValueError("a percentile needs values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def slope_per_decade(points: Sequence[tuple[float, float]]) -> float:
    """Growth of cost per tenfold of existing records, as a share of the first point's cost; 0 is flat.

    `points` are (records, cost a sample), at least two; a least-squares line over the logarithm of the records.
    """
    if len(points) < 2:
        raise ValueError("a slope needs two points")
    first = points[0][1]
    xs = [math.log10(records) for records, _ in points]
    ys = [cost / first for _, cost in points]
    mid_x, mid_y = mean(xs), mean(ys)
    return sum((x - mid_x) * (y - mid_y) for x, y in zip(xs, ys, strict=True)) / sum((x - mid_x) ** 2 for x in xs)


def verdict_of(key: str, value: float) -> str:
    """`goal`, `floor` or `missed`."""
    goal, floor = LIMITS[key]
    sign = -1.0 if key in HIGHER_IS_BETTER else 1.0
    if sign * value <= sign * goal:
        return "goal"
    return "floor" if sign * value <= sign * floor else "missed"
