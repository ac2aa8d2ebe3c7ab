"""What a person sees while scenarios run: a live line on a terminal, plain lines everywhere else.

`watching(console)` is a context manager that yields the listener to hand to the experiment.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.events import (
    Event,
    Listener,
    NoteEvent,
    PhaseEvent,
    ReadingEvent,
    RunEvent,
    ScenarioEvent,
    VerdictEvent,
)

VERDICT_STYLES = {"VALID": "bold green", "INVALID": "bold red", "INCONCLUSIVE": "bold yellow", "SKIPPED": "dim"}
PLAIN_WIDTH = 160
Clock = Callable[[], float]


@dataclass(slots=True)
class _Now:
    """Where one scenario stands; `since` and `phase_since` are monotonic seconds."""

    position: int
    total: int
    since: float
    phase_since: float
    phase: str = ""
    deadline_s: float | None = None
    reading: ReadingEvent | None = None
    note: str = ""


@dataclass(slots=True)
class _Board:
    """The scenarios that are being played, by label, in the order in which they began."""

    clock: Clock
    running: dict[str, _Now] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Move on by one event."""
        at = self.clock()
        match event:
            case RunEvent():
                return
            case ScenarioEvent():
                self.running[event.scenario] = _Now(event.position, event.total, since=at, phase_since=at)
            case PhaseEvent():
                now = self.running[event.scenario]
                now.phase, now.deadline_s, now.phase_since = event.phase, event.deadline_s, at
            case ReadingEvent():
                self.running[event.scenario].reading = event
            case NoteEvent():
                self.running[event.scenario].note = event.text
            case VerdictEvent():
                del self.running[event.scenario]

    def elapsed_s(self, scenario: str) -> float:
        """Seconds since this scenario began."""
        return self.clock() - self.running[scenario].since


class PlainView:
    """One line per phase, note and verdict, in the order they happen; what a log file or a CI job shows."""

    def __init__(self, console: Console, *, clock: Clock = time.monotonic) -> None:
        """`clock` gives monotonic seconds."""
        self._console = console
        self._board = _Board(clock)

    def on_event(self, event: Event) -> None:
        """Print it, unless it is a mere reading."""
        self._board.take(event)
        line = self._line(event)
        if line is not None:
            self._console.print(line, soft_wrap=True, highlight=False)

    def _line(self, event: Event) -> Text | None:
        match event:
            case RunEvent():
                return Text(f"{event.total} scenarios, driver {event.driver}, seed {event.seed}")
            case ScenarioEvent():
                return Text(f"[{event.position}/{event.total}] {event.scenario}", style="bold")
            case PhaseEvent():
                bound = f" (at most {event.deadline_s:.0f} s)" if event.deadline_s is not None else ""
                return Text(f"{self._head(event.scenario)}  {event.phase}{bound}")
            case NoteEvent():
                return Text(f"{self._head(event.scenario)}    {event.text}", style="dim")
            case VerdictEvent():
                return verdict_line(event)
            case ReadingEvent():
                return None

    def _head(self, scenario: str) -> str:
        return f"  {scenario:<12} {self._board.elapsed_s(scenario):6.1f} s"


class LiveView:
    """A panel that redraws itself, a line a running scenario: phase, elapsed against deadline, queue, last event.

    Verdicts scroll by above it.
    """

    def __init__(self, console: Console, *, clock: Clock = time.monotonic) -> None:
        """`clock` gives monotonic seconds."""
        self._console = console
        self._clock = clock
        self._board = _Board(clock)

    def on_event(self, event: Event) -> None:
        """Take note; the next redraw shows it."""
        self._board.take(event)
        if isinstance(event, VerdictEvent):
            self._console.print(verdict_line(event), soft_wrap=True, highlight=False)

    def __rich__(self) -> Table:
        """What is drawn now."""
        grid = Table.grid(padding=(0, 2))
        if not self._board.running:
            grid.add_row("starting …")
        for scenario, now in tuple(self._board.running.items()):
            grid.add_row(
                Text(f"[{now.position}/{now.total}]", style="dim"),
                Text(scenario, style="bold"),
                Text(now.phase or "…", style="cyan"),
                _elapsed(self._clock() - now.phase_since, now.deadline_s),
                _reading(now.reading),
            )
            if now.note:
                grid.add_row("", "", Text(now.note, style="dim"))
        return grid


def verdict_line(event: VerdictEvent) -> Text:
    """The line that stays when a scenario has ended."""
    line = Text()
    line.append(f"{event.verdict:<13}", style=VERDICT_STYLES.get(event.verdict, ""))
    line.append(f"{event.scenario:<32} {event.duration_s:6.1f} s")
    if event.reason:
        line.append(f"  {event.reason}")
    return line


def _elapsed(elapsed_s: float, deadline_s: float | None) -> Text:
    if deadline_s is None:
        return Text(f"{elapsed_s:.1f} s")
    style = "red" if elapsed_s > deadline_s else "yellow" if elapsed_s > 0.8 * deadline_s else ""
    return Text(f"{elapsed_s:.1f} / {deadline_s:.0f} s", style=style)


def _reading(reading: ReadingEvent | None) -> Text:
    if reading is None:
        return Text("")
    return Text(
        f"queued {reading.queue_depth}  unacked {reading.unacked}  "
        f"acknowledged {reading.acknowledged:,}  present {reading.present:,}"
    )


def lab_console() -> Console:
    """The terminal as it is; files, pipes and CI jobs are taken to be wide enough for a table.

    Text is printed as it stands: in anomalies, paths and commands brackets are no markup, and colons make no emoji.
    """
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


@contextmanager
def watching(console: Console) -> Iterator[Listener]:
    """The listener for this console: live on a terminal, plain lines when it is a file, a pipe or a CI job."""
    if not console.is_terminal:
        yield PlainView(console)
        return
    view = LiveView(console)
    with Live(view, console=console, refresh_per_second=4, transient=True):
        yield view
