"""/metrics against the rows: clean, each figure false, a replica that tells nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.anomaly import Kind
from harness.checkers import metrics
from harness.observe import UNREAD
from tests.checkers.world import STARTED_MS, World

TRUE = {
    ("app_batches", "COMPLETED"): 4.0,
    ("app_rejected_samples", ""): 9.0,
    ("app_dead_letters", ""): 1.0,
    ("app_missed_ticks", ""): 1.0,
}


def world(**told: float) -> World:
    """Two replicas that tell the truth but for what is given by the metric's name."""
    made = World()
    made.add("dead_letters", id=1, task="healthkit.gone", message_id="m", reason="unregistered", is_redriven=False)
    made.add("dead_letters", id=2, task="healthkit.gone", message_id="n", reason="unregistered", is_redriven=True)
    made.add("ticks", id=1, entry="sweep-imports", due_ms=STARTED_MS, status="missed")
    for replica in ("api-1", "api-2"):
        for (name, label), value in TRUE.items():
            figure = told.get(name, value) if replica == "api-2" else value
            made.add("metrics", replica=replica, name=name, label=label, value=figure)
    return made


def test_clean() -> None:
    made = world(app_missed_ticks=2.0)
    assert len(made.rows["rejected"]) == 9
    assert metrics.check(made.evidence()) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("app_batches", 3.0), ("app_rejected_samples", 0.0), ("app_dead_letters", 2.0), ("app_missed_ticks", 0.0)],
    ids=lambda each: str(each),
)
def test_one_false_figure_is_named(name: str, value: float) -> None:
    (found,) = metrics.check(world(**{name: value}).evidence())
    assert (found.kind, found.ids["service"], found.ids["metric"].split("{")[0]) == (Kind.FALSE_METRIC, "api-2", name)


def _silent(made: World) -> None:
    made.rows["metrics"] = [each for each in made.rows["metrics"] if each["replica"] == "api-1"]
    made.add("metrics", replica="api-2", name=UNREAD, label="", value=1.0)


def _without_one(made: World) -> None:
    made.drop("metrics", replica="api-1", name="app_batches")


@pytest.mark.parametrize(
    ("change", "missing"), [(_silent, 4), (_without_one, 1)], ids=["a silent replica", "an absent figure"]
)
def test_what_is_not_told_is_named(change: Callable[[World], None], missing: int) -> None:
    made = world()
    change(made)
    found = metrics.check(made.evidence())
    assert [each.kind for each in found] == [Kind.FALSE_METRIC] * missing
    assert all("does not tell" in each.summary for each in found)


def test_nothing_told_says_nothing() -> None:
    assert metrics.check(World().evidence()) == ()
