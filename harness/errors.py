"""The lab's errors.

LabError                       the lab itself failed: exit 3
├── WaitTimeout                something awaited did not come in time
├── DriverError                a stack could not be started, told or read
│   ├── MissingCapability      this machine or driver cannot do what a scenario asks
│   └── StartFailed            a replica of the app, or its migrate step, was started and came to nothing: an anomaly
├── HealFailed                 a fault could not be undone: the run ends
└── Inconclusive               nothing can be said about the system under test: exit 2
"""

from __future__ import annotations


class LabError(Exception):
    """The lab failed; the message says what was expected, what was seen, for how long, and what to do next."""


class WaitTimeout(LabError):
    """Something awaited did not come in time."""

    def __init__(self, *, awaiting: str, waited_s: float, seen: str) -> None:
        """`waited_s` in seconds; `seen` is free text, shown on lines of its own."""
        self.awaiting = awaiting
        self.waited_s = waited_s
        self.seen = seen
        super().__init__(f"waited {waited_s:.1f} s for {awaiting}" + (f"; seen last:\n{seen}" if seen else ""))


class DriverError(LabError):
    """A stack could not be started, told or read."""


class MissingCapability(DriverError):
    """This machine or driver cannot do what a scenario asks; the message says what is missing and how to get it."""


class StartFailed(DriverError):
    """A replica of the app, or its migrate step, was started and came to nothing: what the app does, not the lab."""

    def __init__(self, message: str, *, replica: str, exit_code: int | None) -> None:
        """`exit_code` is None when it still runs and is not what it should be in time."""
        self.replica = replica
        self.exit_code = exit_code
        super().__init__(message)


class HealFailed(LabError):
    """A fault could not be undone; nothing that follows would be worth anything."""


class Inconclusive(LabError):
    """The run cannot say anything about the system under test."""
