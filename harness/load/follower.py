"""A follower: asks after the batches that a phone has sent, while it reads and sends the next ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from harness.devices import queries
from harness.devices.caller import Call
from harness.devices.phone import OpenBatch, Phone
from harness.load.booth import Booth
from harness.load.meter import END_TO_END
from harness.load.people import FIRST_DAY, LAST_DAY

POLL_EVERY_S: Final = 0.5
"""How long a phone waits between two rounds of asking; end-to-end latency cannot be told finer."""


@dataclass(slots=True)
class Sent:
    """A batch that is wholly sent. `submitted` is monotonic, when its last chunk was first offered.

    `expected` records must show in the aggregates of its type; None where another phone writes there, too.
    """

    opened: OpenBatch
    submitted: float
    expected: int | None


@dataclass(slots=True)
class Follower:
    """Asks for one phone, between its uploads: the progress of each batch, then the aggregates until they show it."""

    booth: Booth
    phone: Phone
    _waiting: list[Sent] = field(default_factory=list)
    _look_at: float = 0.0

    def add(self, sent: Sent) -> None:
        """From now on ask after this one, too."""
        self._waiting.append(sent)

    def pause(self, duration_s: float) -> None:
        """Let this time pass, and ask when it is time to."""
        until = time.monotonic() + duration_s
        while not self.phone.caller.is_stopped and (left_s := until - time.monotonic()) > 0:
            look_in_s = self._look_at - time.monotonic()
            if not self._waiting:
                self.phone.caller.wait(left_s)
            elif look_in_s > 0:
                self.phone.caller.wait(min(left_s, look_in_s))
            else:
                self._look()

    def to_the_end(self) -> None:
        """Until every batch has ended and shows in the aggregates, or the run is ended."""
        while self._waiting and not self.phone.caller.is_stopped:
            self.pause(POLL_EVERY_S)

    def _look(self) -> None:
        for each in self._waiting:
            if not each.opened.has_ended:
                self.phone.poll(each.opened)
        self._waiting = [each for each in self._waiting if not (each.opened.has_ended and self._is_visible(each))]
        self._look_at = time.monotonic() + POLL_EVERY_S

    def _is_visible(self, sent: Sent) -> bool:
        """Ask for the aggregates; when they hold the batch, note how long that took since it was submitted."""
        plan = sent.opened.plan
        if sent.expected is None:
            return True
        expected = sent.expected
        facts = {"final": False, "visible_batch": plan.key, "chunks": len(plan.chunks)}
        seen: list[float] = []

        def read(data: dict[str, list[dict[str, int]]]) -> dict[str, float | int]:
            count = sum(day["sampleCount"] for day in data["aggregates"])
            if count < expected:
                return {"count": count}
            seen.append(time.monotonic() - sent.submitted)
            return {"count": count, "end_to_end_s": round(seen[0], 4)}

        self.phone.caller.make(
            Call(
                kind="aggregates",
                query=queries.AGGREGATES,
                variables={"type": plan.type, "from": FIRST_DAY.isoformat(), "to": LAST_DAY.isoformat()},
                type=plan.type,
                facts=facts,
            ),
            facts_of=read,  # type: ignore[arg-type]  # the answer's shape is the schema's; a wrong one is a finding
        )
        if seen:
            self.booth.meter(*END_TO_END, took_s=seen[0])
        return bool(seen)
