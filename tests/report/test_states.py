"""The states of the services as readings and faults tell them, and the moments that are marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report import timeline
from harness.report.accused import accused
from harness.report.history import histories
from harness.report.record import ScenarioRecord, read
from tests.report import shortened
from tests.report.handmade import lines_of


@pytest.fixture
def scenario(tmp_path: Path) -> ScenarioRecord:
    return read(shortened.write(tmp_path / "run")).scenarios[1]


def test_a_killed_worker_is_down_from_the_injection(scenario: ScenarioRecord) -> None:
    """Readings call it healthy for another second; and the first second, of which they say nothing, was healthy."""
    rows = timeline.build(scenario, accused(scenario), lines_of(scenario))["states"]
    assert {row["replica"]: row["spans"] for row in rows} == {
        "worker-1": [[0.0, 24.75, "healthy"]],
        "worker-2": [[0.0, 7.0, "healthy"], [7.0, 8.0, "down"], [8.0, 10.5, "starting"], [10.5, 24.75, "healthy"]],
        "redis": [[0.0, 24.75, "healthy"]],
    }


def test_takeovers_second_executions_and_losses_are_marked(scenario: ScenarioRecord) -> None:
    marks = timeline.build(scenario, accused(scenario), lines_of(scenario))["marks"]
    assert [(at, replica, kind) for at, replica, kind, _ in marks] == [
        *[(8.0, "worker-1", "takeover")] * 3,
        *[(8.5, "worker-1", "again")] * 3,
        *[(9.0, "", "harmed")] * 3,
    ]
    assert marks[-1][3].endswith("4 of its samples are named as lost")


def test_the_red_line_of_a_history_is_the_one_whose_sum_is_short(scenario: ScenarioRecord) -> None:
    """A takeover is a warning, and what a killed worker brings about: it is not what went wrong."""
    events = histories(scenario, lines_of(scenario))[0].events
    assert [event.text for event in events if event.is_bad] == [
        "chunk DONE: 16 imported, 0 duplicates, 0 rejected = 16 of 20"
    ]
    assert [event.text.partition(":")[0] for event in events if event.is_loud] == ["claim_taken_over"]
    [message] = [event.text for event in events if event.text.startswith("a message lies in unacked")]
    assert "carries ids only, no samples" in message
    [state] = [event.text for event in events if event.text.startswith("chunk DONE, claimed by nobody")]
    assert "published again 0× since its last claim" in state
