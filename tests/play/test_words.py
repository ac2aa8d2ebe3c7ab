"""What a person may type."""

from __future__ import annotations

import pytest

from harness.commands.inject import parse_duration
from harness.errors import LabError
from harness.play.menu import MENU, link_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20s", 20.0), ("500ms", 0.5), ("2m", 120.0), ("1.5", 1.5)],
    ids=["seconds", "milliseconds", "minutes", "bare"],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1h"], ids=["empty", "word", "negative", "hours"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(LabError, match="expected a duration"):
        parse_duration(text)


def test_paths() -> None:
    assert link_of("worker:redis") == ("worker", "redis")
    assert link_of("api→postgres") == ("api", "postgres")
    with pytest.raises(LabError, match="expected a path"):
        link_of("redis:worker")


def test_the_menu_has_a_title_and_a_default_for_each() -> None:
    assert [name for name, dish in MENU.items() if not dish.title or not dish.service] == []
