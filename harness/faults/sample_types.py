"""A HealthKit type that the app does not know yet: its row is taken away under the workers' hands, and put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, LiteralString

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

HIDDEN: Final = "chaoslab.hidden."

_LOOK: LiteralString = "SELECT count(*) FROM healthkit_sample_type WHERE identifier = %s"
_RENAME: LiteralString = "UPDATE healthkit_sample_type SET identifier = %s WHERE identifier = %s"


@dataclass(frozen=True, slots=True)
class HideType:
    """The row of one type is gone, as before somebody added it. Heals by adding it, while everybody works.

    Symptom: samples of that type are kept as rejected, with `unknown_type`. Records that refer to the row keep it:
    it is there under another name.
    """

    identifier: str
    target: str = "postgres"
    source: str = "rows of that type's identifier, read past the links"
    bite_timeout_s: float = 5.0
    name: str = "hide_type"

    def look(self, stack: Stack) -> str:
        """Whether there is such a type."""
        with lab_session(stack.dsn()) as session:
            found = session.execute(_LOOK, (self.identifier,)).fetchall()[0][0]
        return f"{found} rows of {self.identifier}"

    def inject(self, stack: Stack) -> None:
        """Call it something else."""
        with lab_session(stack.dsn()) as session:
            session.execute(_RENAME, (HIDDEN + self.identifier, self.identifier))

    def has_bitten(self, *, before: str, now: str) -> bool:
        """There was one, there is none."""
        return before.startswith("1 ") and now.startswith("0 ")

    def heal(self, stack: Stack) -> None:
        """Call it by its name again."""
        with lab_session(stack.dsn()) as session:
            session.execute(_RENAME, (self.identifier, HIDDEN + self.identifier))

    def is_whole(self, stack: Stack) -> bool:
        """There is one."""
        return self.look(stack).startswith("1 ")
