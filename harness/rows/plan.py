"""Plans: one row as it is played once — plain, or with a defect planted, with its fault or without."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.drivers.protocol import StackSpec
from harness.rows.defect import Planted
from harness.rows.row import Row
from harness.times import LAB, LAB_ENV, Times
from harness.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played: the row, what is planted in it, and whether its fault is injected.

    `is_small` plays the row with the load of a planted run: the control of planted runs, or a row being written.
    """

    row: Row
    planted: Planted | None = None
    faulted: bool = True
    is_small: bool = False

    def label(self) -> str:
        """`W6`, `W6 × no_sweeper`, `W6 × no_sweeper, no fault`: as the verdict table names it."""
        if self.planted is None:
            return self.row.label()
        return f"{self.row.label()} × {self.planted.defect.name}" + ("" if self.faulted else ", no fault")

    def expected(self) -> str:
        """VALID, or the kind of the anomaly that must be named."""
        if self.planted is None:
            return Verdict.VALID.value
        is_wrong = self.faulted or self.planted.defect.wrong_without_fault
        return self.planted.expected.value if is_wrong else Verdict.VALID.value

    def spec(self, *, app_dir: Path | None = None) -> StackSpec:
        """The stack: the lab's times, the row's changes, then the defect's."""
        spec = replace(self.row.spec, env={**LAB_ENV, **self.row.spec.env}, app_dir=app_dir or self.row.spec.app_dir)
        return spec if self.planted is None else self.planted.defect.planted_in(spec)

    def times(self) -> Times:
        """What the stack runs with, where env says otherwise than the lab's column; STOP_TIMEOUT_S as declared."""
        return LAB.changed_by({name: value for name, value in self.row.spec.env.items() if value})

    def phones(self) -> int:
        """How many simulated phones."""
        return self.row.load.planted_phones if self._has_small_load else self.row.load.phones

    def samples(self) -> int:
        """How many samples they generate, before doubles, odd ones and bad ones."""
        return self.row.load.planted_samples if self._has_small_load else self.row.load.samples

    @property
    def _has_small_load(self) -> bool:
        return self.is_small or self.planted is not None

    def slug(self) -> str:
        """A directory name, unique within a run: `W1-warm`, `W6--no_sweeper`, `W6--no_sweeper--no-fault`."""
        base = self.row.id + (f"-{self.row.variant}" if self.row.variant else "")
        if self.planted is None:
            return base
        return f"{base}--{self.planted.defect.name}" + ("" if self.faulted else "--no-fault")
