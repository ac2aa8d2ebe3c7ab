"""/metrics against the rows: clean, each figure false, a replica that tells nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.anomaly import Kind
from harness.checkers import metrics
from harness.evidence.evidence import Expectations
from harness.evidence.metrics_page import Figure, figures
from harness.evidence.observe import UNREAD
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


def counted(*, finished: dict[str, float], enqueued: float | None = 3.0, published: int = 4) -> World:
    """Eight DONE chunks, `published` messages for chunks; what a replica counts of both."""
    made = world()
    for number in range(published):
        made.add("publishes", at_ms=number, task="healthkit.import_chunk", message_id=str(number), is_redelivered=False)
    for replica in ("api-1", "api-2"):
        for outcome, value in finished.items():
            label = f"{outcome},healthkit.import_chunk"
            made.add("metrics", replica=replica, name="app_tasks_finished_total", label=label, value=value)
        other = "succeeded,healthkit.sweep"
        made.add("metrics", replica=replica, name="app_tasks_finished_total", label=other, value=99.0)
        if enqueued is not None:
            name, label = "app_tasks_enqueued_total", "healthkit.import_chunk"
            made.add("metrics", replica=replica, name=name, label=label, value=enqueued)
    return made


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"finished": {"succeeded": 8.0}}, None),
        ({"finished": {"done": 8.0, "refused": 2.0}}, None),
        ({"finished": {"done": 5.0, "retried": 2.0}}, "app_tasks_finished_total"),
        ({"finished": {}}, "app_tasks_finished_total"),
        ({"finished": {"done": 8.0}, "enqueued": None}, "app_tasks_enqueued_total"),
        ({"finished": {"done": 8.0}, "enqueued": 5.0}, "app_tasks_enqueued_total"),
        ({"finished": {"done": 8.0}, "enqueued": None, "published": 0}, None),
    ],
    ids=["right", "by outcome", "too few", "none", "nothing sent", "more sent than Redis got", "nobody listened"],
)
def test_counts_of_tasks_in_the_control(told: dict[str, Any], named: str | None) -> None:
    evidence = counted(**told).evidence(expectations=Expectations(is_control=True, has_faults=False))
    found = [(each.ids["service"], each.ids["metric"].partition("{")[0]) for each in metrics.check(evidence)]
    assert found == ([("api-1", named), ("api-2", named)] if named else [])
    assert metrics.check(counted(**told).evidence()) == ()


def test_a_page_with_several_labels() -> None:
    page = (
        "# HELP app_x_total Ends.\n"
        'app_x_total{task="healthkit.import_chunk",outcome="done"} 3.0\n'
        "app_y 1.0\n"
        'python_gc{generation="0"} 5.0\n'
    )
    assert list(figures(page)) == [Figure("app_x_total", "done,healthkit.import_chunk", 3.0), Figure("app_y", "", 1.0)]
