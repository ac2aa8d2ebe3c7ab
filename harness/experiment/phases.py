"""Phases of a scenario: which one runs, since when, and how long each took; whoever watches is told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock

from harness.events import Event, Listener, NoteEvent, PhaseEvent, ReadingEvent

RECORDED = {"start": "start", "gate": "start", "work": "work", "inject": "work", "hold": "hold", "heal": "hold",
            "quiesce": "quiesce", "check": "check"}  # fmt: skip
"""Phase as it is told, to the name under which run.json counts its time."""


@dataclass(slots=True)
class Phases:
    """Times the phases of one scenario, one after another. Not for several threads, but for `reading`.

    What the listener is told is told by one thread at a time, so that who passes it on need not lock.
    """

    scenario: str
    listener: Listener
    _begun: float = field(default_factory=time.monotonic)
    _since: float = 0.0
    _current: str | None = None
    _took_s: dict[str, float] = field(default_factory=dict)
    _telling: Lock = field(default_factory=Lock)

    def enter(self, phase: str, *, deadline_s: float | None = None) -> None:
        """End the current phase, begin this one. `deadline_s` from now."""
        self._close()
        self._current, self._since = phase, time.monotonic()
        self._tell(PhaseEvent(self.scenario, phase, deadline_s))

    def note(self, text: str) -> None:
        """Say something a person wants to know now."""
        self._tell(NoteEvent(self.scenario, text))

    def reading(self, *, queue_depth: int, unacked: int, acknowledged: int, present: int) -> None:
        """Pass a reading of the watch on; from any thread. Nothing once all phases have ended: the verdict is next."""
        with self._telling:
            if self._current is not None:
                self.listener.on_event(ReadingEvent(self.scenario, queue_depth, unacked, acknowledged, present))

    def current(self) -> str | None:
        """The phase that runs."""
        return self._current

    def end(self) -> dict[str, float]:
        """End the current phase; seconds by recorded phase."""
        self._close()
        with self._telling:
            self._current = None
        return dict(self._took_s)

    def elapsed_s(self) -> float:
        """Since the scenario began."""
        return time.monotonic() - self._begun

    def _tell(self, event: Event) -> None:
        with self._telling:
            self.listener.on_event(event)

    def _close(self) -> None:
        if self._current is not None:
            name = RECORDED[self._current]
            self._took_s[name] = self._took_s.get(name, 0.0) + time.monotonic() - self._since
