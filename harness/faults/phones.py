"""Faults of phones: one goes away half-way through an upload, and never comes back to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.drivers.protocol import Stack
from harness.lab_session import lab_session

_UPLOADED = """
SELECT b.uploaded_count, b.chunk_count, b.status,
       (SELECT count(*) FROM healthkit_import_batch o WHERE o.device_id = b.device_id AND o.created_at > b.created_at)
FROM healthkit_import_batch b WHERE b.idempotency_key = %s
"""


@dataclass(frozen=True, slots=True)
class VanishPhone:
    """The phone of one batch sends half of its chunks and goes on to other things. Must be injected before it begins.

    `go` tells the phone. It shows when half is uploaded and the same device has begun another batch since, so that it
    is not merely slow. Nothing heals it: the rest is never sent.
    """

    batch_key: str
    go: Callable[[str], None]
    source: str = "the device's batches in Postgres, past the links"
    bite_timeout_s: float = 90.0
    leaves_as_new: bool = True
    name: str = "vanish_phone"

    @property
    def target(self) -> str:
        """The batch that is left unfinished."""
        return f"phone of {self.batch_key}"

    def look(self, stack: Stack) -> str:
        """How much of the batch has arrived, and how many batches the device has begun since."""
        with lab_session(stack.dsn()) as session:
            found = session.execute(_UPLOADED, (self.batch_key,)).fetchone()
        if found is None:
            return "not begun"
        uploaded, chunks, status, later = found
        return f"{uploaded} of {chunks} chunks uploaded, {status}, {later} batches of the device begun since"

    def inject(self, stack: Stack) -> None:
        """Tell the phone."""
        self.go(self.batch_key)

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Some, not all, and the device is at something else."""
        words = now.split(" ")
        return before == "not begun" and now != before and 0 < int(words[0]) < int(words[2]) and words[6] != "0"

    def heal(self, stack: Stack) -> None:
        """Nothing to undo."""

    def is_whole(self, stack: Stack) -> bool:
        """What is left of the batch is the app's affair."""
        return True
