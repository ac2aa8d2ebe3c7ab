"""Faults of the scheduler: one beat too many, an entry edited, mistyped or disabled.

A beat that is killed is a fault of processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString

from harness.drivers.protocol import Stack, State
from harness.errors import MissingCapability
from harness.lab_session import lab_session

_INTERVAL: LiteralString = """
SELECT i.id, i.every * CASE i.period WHEN 'seconds' THEN 1 ELSE 1e-6 END FROM django_celery_beat_periodictask p
JOIN django_celery_beat_intervalschedule i ON i.id = p.interval_id WHERE p.name = %s
"""
_NEW_INTERVAL: LiteralString = """
INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (%s, 'microseconds') RETURNING id
"""
_EDIT: LiteralString = """
UPDATE django_celery_beat_periodictask SET interval_id = %s, date_changed = clock_timestamp() WHERE name = %s
"""
_ENABLE: LiteralString = """
UPDATE django_celery_beat_periodictask SET enabled = %s, date_changed = clock_timestamp() WHERE name = %s
"""
_IS_ENABLED: LiteralString = "SELECT enabled FROM django_celery_beat_periodictask WHERE name = %s"
_EDITED: LiteralString = """
UPDATE django_celery_beat_periodictasks SET last_update = clock_timestamp()
"""


_ADD: LiteralString = """
WITH every AS (
    INSERT INTO django_celery_beat_intervalschedule (every, period) VALUES (1, 'seconds') RETURNING id
)
INSERT INTO django_celery_beat_periodictask
   (name, task, queue, interval_id, args, kwargs, headers, enabled, one_off, total_run_count, date_changed, description)
SELECT %s, %s, %s, id, '[]', '{}', '{}', true, false, 0, clock_timestamp(), '' FROM every
"""
_REMOVE: LiteralString = "DELETE FROM django_celery_beat_periodictask WHERE name = %s"
_ENTRY: LiteralString = "SELECT queue FROM django_celery_beat_periodictask WHERE name = %s"


@dataclass(slots=True)
class AddBeat:
    """A second beat beside the first, as in a rolling deploy or by a wrong desired count. Heals by ending it."""

    target: str = "beat"
    source: str = "process table of every beat replica"
    bite_timeout_s: float = 30.0
    name: str = "add_beat"
    added: list[str] = field(default_factory=list)

    def look(self, stack: Stack) -> str:
        """Which beats run."""
        running = [each for each in stack.replicas("beat") if stack.processes(each)]
        return f"{len(running)} running: {', '.join(running)}"

    def inject(self, stack: Stack) -> None:
        """Start it; healthy when this returns."""
        self.added.append(stack.add_replica("beat"))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """One more than before."""
        return int(now.split(" ")[0]) > int(before.split(" ")[0])

    def heal(self, stack: Stack) -> None:
        """End what was added."""
        while self.added:
            stack.remove_replica(self.added.pop())

    def is_whole(self, stack: Stack) -> bool:
        """Every beat that should be there is healthy."""
        beats = stack.replicas("beat")
        if not beats:
            raise MissingCapability("the stack has no beat")
        return all(stack.state(each) is State.HEALTHY for each in beats)


@dataclass(slots=True)
class EditEntry:
    """Another interval for one entry of the schedule, as if somebody had edited it in the admin. Heals by putting it
    back.

    Blast radius: that entry's due times, whoever leads.
    """

    entry: str
    every_s: float
    source: str = "the entry's row, read past the links"
    bite_timeout_s: float = 5.0
    name: str = "edit_entry"
    _interval: int = 0

    @property
    def target(self) -> str:
        """The entry."""
        return self.entry

    def look(self, stack: Stack) -> str:
        """How often it is due."""
        with lab_session(stack.dsn()) as session:
            [(_, every_s)] = session.execute(_INTERVAL, (self.entry,)).fetchall()
        return f"{self.entry} every {float(str(every_s)):g} s"

    def inject(self, stack: Stack) -> None:
        """Give it an interval of its own."""
        with lab_session(stack.dsn()) as session:
            [(known, _)] = session.execute(_INTERVAL, (self.entry,)).fetchall()
            self._interval = int(str(known))
            [(made,)] = session.execute(_NEW_INTERVAL, (round(self.every_s * 1e6),)).fetchall()
            session.execute(_EDIT, (made, self.entry))
            session.execute(_EDITED)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """It is due as often as it was edited to be."""
        return before != now and now.endswith(f" every {self.every_s:g} s")

    def heal(self, stack: Stack) -> None:
        """As it was."""
        with lab_session(stack.dsn()) as session:
            session.execute(_EDIT, (self._interval, self.entry))
            session.execute(_EDITED)

    def is_whole(self, stack: Stack) -> bool:
        """Not the edited interval any more."""
        return not self.look(stack).endswith(f" every {self.every_s:g} s")


@dataclass(frozen=True, slots=True)
class MistypeEntry:
    """A new entry of the schedule that names a queue which is none, as if somebody had mistyped it in the admin.

    Blast radius: that entry, whose task never runs. Heals by removing it.
    """

    entry: str
    task: str
    queue: str = "defualt"
    source: str = "the entry's row, read past the links"
    bite_timeout_s: float = 5.0
    name: str = "mistype_entry"

    @property
    def target(self) -> str:
        """The entry."""
        return self.entry

    def look(self, stack: Stack) -> str:
        """Which queue it names, if it is there."""
        with lab_session(stack.dsn()) as session:
            found = session.execute(_ENTRY, (self.entry,)).fetchone()
        return "no such entry" if found is None else f"{self.entry} into the queue {found[0]}"

    def inject(self, stack: Stack) -> None:
        """Add it."""
        with lab_session(stack.dsn()) as session:
            session.execute(_ADD, (self.entry, self.task, self.queue))
            session.execute(_EDITED)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """It is there now."""
        return before == "no such entry" and now.endswith(f" {self.queue}")

    def heal(self, stack: Stack) -> None:
        """Remove it."""
        with lab_session(stack.dsn()) as session:
            session.execute(_REMOVE, (self.entry,))
            session.execute(_EDITED)

    def is_whole(self, stack: Stack) -> bool:
        """It is gone."""
        return self.look(stack) == "no such entry"


@dataclass(frozen=True, slots=True)
class DisableEntry:
    """An entry of the schedule that is disabled, as if somebody had done so in the admin and forgotten it.

    Blast radius: that entry, whose task does not run; beat misses nothing. Heals by enabling it.
    """

    entry: str
    source: str = "the entry's row, read past the links"
    bite_timeout_s: float = 5.0
    name: str = "disable_entry"

    @property
    def target(self) -> str:
        """The entry."""
        return self.entry

    def look(self, stack: Stack) -> str:
        """Whether it is enabled."""
        with lab_session(stack.dsn()) as session:
            [(is_enabled,)] = session.execute(_IS_ENABLED, (self.entry,)).fetchall()
        return f"{self.entry} is {'enabled' if is_enabled else 'disabled'}"

    def inject(self, stack: Stack) -> None:
        """Disable it."""
        self._enable(stack, is_enabled=False)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """It was enabled, and is not."""
        return before.endswith(" enabled") and now.endswith(" disabled")

    def heal(self, stack: Stack) -> None:
        """Enable it."""
        self._enable(stack, is_enabled=True)

    def is_whole(self, stack: Stack) -> bool:
        """It is enabled."""
        return self.look(stack).endswith(" enabled")

    def _enable(self, stack: Stack, *, is_enabled: bool) -> None:
        with lab_session(stack.dsn()) as session:
            session.execute(_ENABLE, (is_enabled, self.entry))
            session.execute(_EDITED)
