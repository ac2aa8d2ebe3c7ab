"""The live view: plain lines where nobody watches, one line that redraws itself on a terminal."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console

from harness.events import Event, NoteEvent, PhaseEvent, ReadingEvent, RunEvent, ScenarioEvent, VerdictEvent
from harness.report.live import LiveView, PlainView, watching

EVENTS: tuple[Event, ...] = (
    RunEvent("processes", 42, 2),
    ScenarioEvent("W1[warm]", 1, 2),
    PhaseEvent("W1[warm]", "work"),
    PhaseEvent("W1[warm]", "quiesce", 30.0),
    ReadingEvent("W1[warm]", 5, 2, 20_000, 19_900),
    NoteEvent("W1[warm]", "stop_worker(worker-1) bit: [exit 0]"),
    VerdictEvent("W1[warm]", "INVALID", 41.3, "lost: [sample]"),
)


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(events: Iterable[Event]) -> list[str]:
    output = io.StringIO()
    with watching(Console(file=output, width=120)) as listener:
        for event in events:
            listener.on_event(event)
    return output.getvalue().splitlines()


def test_plain_lines_when_not_a_terminal() -> None:
    lines = told(EVENTS)
    assert lines[0] == "2 scenarios, driver processes, seed 42"
    assert lines[1] == "[1/2] W1[warm]"
    assert [line.split(" s ", 1)[-1].strip() for line in lines[2:5]] == [
        "work",
        "quiesce (at most 30 s)",
        "stop_worker(worker-1) bit: [exit 0]",
    ]
    assert lines[5].split() == ["INVALID", "W1[warm]", "41.3", "s", "lost:", "[sample]"]
    assert len(lines) == 6


def test_the_live_line() -> None:
    clock, output = Ticking(), io.StringIO()
    console = Console(file=output, width=160, force_terminal=True, color_system=None)
    view = LiveView(console, clock=clock)
    for event in EVENTS[:6]:
        view.on_event(event)
    clock.now += 12.0
    console.print(view)
    line = output.getvalue()
    assert "[1/2]" in line
    assert "W1[warm]" in line
    assert "quiesce" in line
    assert "12.0 / 30 s" in line
    assert "queued 5  unacked 2  acknowledged 20,000  present 19,900" in line
    assert "stop_worker(worker-1) bit: [exit 0]" in line


def test_time_counts_from_the_scenario() -> None:
    clock, output = Ticking(), io.StringIO()
    view = PlainView(Console(file=output, width=120), clock=clock)
    view.on_event(ScenarioEvent("W6", 1, 1))
    clock.now += 7.5
    view.on_event(PhaseEvent("W6", "hold"))
    assert "7.5 s  hold" in output.getvalue()


def test_scenarios_side_by_side_have_a_line_and_a_clock_each() -> None:
    clock, output = Ticking(), io.StringIO()
    console = Console(file=output, width=160, force_terminal=True, color_system=None)
    live, plain = LiveView(console, clock=clock), PlainView(console, clock=clock)
    for at, event in (
        (0.0, ScenarioEvent("W6", 1, 3)),
        (5.0, ScenarioEvent("B1", 2, 3)),
        (1.0, PhaseEvent("W6", "hold")),
        (1.0, PhaseEvent("B1", "work")),
    ):
        clock.now += at
        live.on_event(event)
        plain.on_event(event)
    told = [line.split() for line in output.getvalue().splitlines()]
    assert told[2:] == [["W6", "6.0", "s", "hold"], ["B1", "2.0", "s", "work"]]
    live.on_event(VerdictEvent("W6", "VALID", 7.0))
    output.truncate(output.seek(0))
    console.print(live)
    assert "B1" in output.getvalue()
    assert "W6" not in output.getvalue()
