"""Late ticks: silence counts at the start, in the middle and at the end of a window. Doubled ones: from when on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.experiment.schedule import ENTRIES, doubled_ticks, late_ticks
from harness.witness import Published

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def published(*seconds: float) -> list[Published]:
    return [
        Published(
            at=(T0 + timedelta(seconds=at)).isoformat(), queue="high", task=task, message_id="", headers={},
            redelivered=False,
        )
        for at in seconds
        for task in ENTRIES.values()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "late"),
    [
        pytest.param((1, 2, 3, 4, 5, 6, 7, 8, 9), 0, id="steady"),
        pytest.param((4, 5, 6, 7, 8, 9), 2, id="late at first"),
        pytest.param((1, 2, 6, 7, 8, 9), 2, id="a gap"),
        pytest.param((1, 2, 3, 4, 5), 2, id="silent in the end"),
        pytest.param((), 2, id="never"),
    ],
)
def test_silence_is_late_wherever_it_is(seconds: tuple[float, ...], late: int) -> None:
    until = T0 + timedelta(seconds=10)
    assert len(late_ticks(published(*seconds), bound_s=3, since=T0, until=until)) == late


def test_without_a_fault_nothing_is_late() -> None:
    assert late_ticks([], bound_s=3, since=None, until=T0) == []


def ticks(*due_and_seconds: tuple[str, float], redelivered: bool = False) -> list[Published]:
    return [
        Published(
            at=(T0 + timedelta(seconds=at)).isoformat(), queue="high", task="t", message_id="", headers={"tick": tick},
            redelivered=redelivered,
        )
        for tick, at in due_and_seconds
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "doubled"),
    [
        pytest.param(ticks(("a", 1), ("b", 2), ("c", 6)), [], id="each once"),
        pytest.param(ticks(("a", 6), ("b", 7), ("a", 7), ("b", 7.5)), ["a", "b"], id="two beats at once"),
        pytest.param(ticks(("a", 1), ("a", 6)), ["a"], id="an old one again"),
        pytest.param(ticks(("a", 1), ("a", 4)), [], id="before that moment"),
        pytest.param(ticks(("a", 6)) + ticks(("a", 7), redelivered=True), [], id="delivered again by the broker"),
        pytest.param(published(6, 6), [], id="no tick is named"),
    ],
)
def test_a_tick_published_again_is_doubled(found: list[Published], doubled: list[str]) -> None:
    assert [each.ids["tick"] for each in doubled_ticks(found, since=T0 + timedelta(seconds=5))] == doubled
    assert doubled_ticks(found, since=None) == []
