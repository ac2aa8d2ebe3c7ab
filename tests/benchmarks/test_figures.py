"""The arithmetic of the benchmarks."""

import re

import pytest

from harness.bench.capacity import (
    CHILDREN,
    CONNECTIONS_PER_API,
    CONNECTIONS_PER_BEAT,
    CONNECTIONS_PER_WORKER,
    limits_of,
    load_of,
)
from harness.bench.figures import percentile, ratio_of_rounds, slope_per_decade, verdict_of
from harness.bench.lab_shares import demanded_s, shares_of
from harness.bench.world import World
from harness.lab_home import PROJECT


def test_ratio_is_taken_within_each_round() -> None:
    """The machine slowed down tenfold in the second round; the ratio did not."""
    rounds = [{"app": 40.0, "copy": 80.0}, {"app": 4.0, "copy": 8.0}, {"app": 30.0, "copy": 100.0}]
    assert ratio_of_rounds(rounds, "app", "copy") == 0.5


def test_no_rounds_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        ratio_of_rounds([], "app", "copy")


@pytest.mark.parametrize(
    ("share", "expected"),
    [pytest.param(0.95, 19.0, id="p95"), pytest.param(0.5, 10.0, id="median"), pytest.param(1.0, 20.0, id="most")],
)
def test_percentile_is_by_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(number) for number in range(20, 0, -1)], share) == expected


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param([(10, 2.0), (100, 2.0), (1_000, 2.0)], 0.0, id="flat"),
        pytest.param([(10, 2.0), (100, 3.0), (1_000, 4.0)], 0.5, id="half of the first more per tenfold"),
        pytest.param([(10, 4.0), (100, 2.0)], -0.5, id="cheaper"),
    ],
)
def test_slope(points: list[tuple[float, float]], expected: float) -> None:
    assert slope_per_decade(points) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("import_vs_copy", 0.5, "goal", id="ratio at its goal"),
        pytest.param("import_vs_copy", 0.3, "floor", id="ratio above its floor"),
        pytest.param("import_vs_copy", 0.2, "missed", id="ratio below its floor"),
        pytest.param("check_10m_s", 59.0, "goal", id="seconds below their goal"),
        pytest.param("check_10m_s", 80.0, "floor", id="seconds below their floor"),
        pytest.param("check_10m_s", 91.0, "missed", id="seconds above their floor"),
        pytest.param("cost_slope", -0.06, "goal", id="a cost that falls"),
        pytest.param("cost_slope", 0.2, "floor", id="a cost that grows a little"),
        pytest.param("worker_rss_growth_mib", 65.0, "missed", id="memory that grows"),
    ],
)
def test_verdict(key: str, value: float, expected: str) -> None:
    assert verdict_of(key, value) == expected


def test_shares_add_up_over_scenarios() -> None:
    shares = shares_of(
        [{"phases_s": {"start": 2.0, "work": 1.0}}, {"phases_s": {"start": 4.0, "check": 1.0}}, {"phases_s": None}]
    )
    assert shares == {
        "start-up": 0.75,
        "work": 0.125,
        "fault hold": 0.0,
        "waiting for timeouts": 0.0,
        "checking": 0.125,
    }
    assert shares_of([]) == {}


def test_timeouts_demand_nothing_of_a_run_without_a_fault() -> None:
    times = {"CLAIM_TIMEOUT_S": 10.0, "SWEEP_INTERVAL_S": 1.0}
    assert (demanded_s({"faults": ["x"]}, times), demanded_s({"faults": []}, times)) == (11.0, 0.0)


def test_world_is_made_of_whole_users() -> None:
    assert (World(1).total, World(25_000).users, World(25_001).users) == (25_000, 1, 2)


def test_connections_are_those_that_the_configuration_page_tells() -> None:
    told = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert re.search(r"api 2 processes × 4 threads, a worker its\s+concurrency \+ 2 .*?, beat 1;", told, re.DOTALL)
    assert (CONNECTIONS_PER_API, CONNECTIONS_PER_WORKER - CHILDREN, CONNECTIONS_PER_BEAT) == (2 * 4, 2, 1)


def test_the_limit_that_is_passed_most_comes_first() -> None:
    few = load_of(1_000, samples_per_s_child=5_000.0, accept_p95_s=0.02)
    many = load_of(10_000_000, samples_per_s_child=5_000.0, accept_p95_s=0.02)
    assert limits_of(few) == []
    assert many.samples_per_s == pytest.approx(10_000 * few.samples_per_s)
    assert limits_of(many)[0].startswith("size:")
