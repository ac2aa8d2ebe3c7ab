"""What a run tells whoever watches it: small facts, in order, those of one scenario one at a time.

A listener must not raise and must not block: it sits in the path of every scenario.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RunEvent:
    """A run begins: `total` scenarios, on one driver, from one seed."""

    driver: str
    seed: int
    total: int


@dataclass(frozen=True, slots=True)
class ScenarioEvent:
    """A scenario begins. `scenario` is its label, as in the verdict table: `W6`, `W1[warm]`, `W6 × no_sweeper`."""

    scenario: str
    position: int
    total: int


@dataclass(frozen=True, slots=True)
class PhaseEvent:
    """A phase begins (`start`, `gate`, `work`, `inject`, `hold`, `heal`, `quiesce`, `check`).

    `deadline_s` is how long it may take, from now; None where nothing bounds it but the work itself.
    """

    scenario: str
    phase: str
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class NoteEvent:
    """Something a person wants to know now: an image being built, a fault that bit, a witness seen."""

    scenario: str
    text: str


@dataclass(frozen=True, slots=True)
class ReadingEvent:
    """A reading of the broker and of the truth, a few times a second at most."""

    scenario: str
    queue_depth: int
    unacked: int
    acknowledged: int
    present: int


@dataclass(frozen=True, slots=True)
class VerdictEvent:
    """A scenario ended. `verdict` as in run.json; `reason` is the first anomaly or cause in words, or empty."""

    scenario: str
    verdict: str
    duration_s: float
    reason: str = ""


Event = RunEvent | ScenarioEvent | PhaseEvent | NoteEvent | ReadingEvent | VerdictEvent


class Listener(Protocol):
    """Whoever watches a run."""

    def on_event(self, event: Event) -> None:
        """Take note of one event; never raises, returns at once."""
