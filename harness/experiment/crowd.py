"""A crowd: whoever sends in a scenario. The phones' fleet is one; a load run brings its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from harness.clock import Timeout
from harness.devices.generator import DevicePlan
from harness.devices.phone import OpenBatch
from harness.ledger import Tally


class Crowd(Protocol):
    """Senders that are started once, followed, and ended; what they attempt and are told goes into the ledger."""

    @property
    def plans(self) -> Sequence[DevicePlan]:
        """Phones at whose samples a tripwire may be laid."""

    @property
    def is_running(self) -> bool:
        """Whether anybody is still at it."""

    def start(self) -> None:
        """Begin; they work in the background."""

    def wait_uploaded(self, *, timeout_s: Timeout) -> None:
        """Until everything planned was sent. Raises: WaitTimeout."""

    def join(self, *, timeout_s: Timeout) -> bool:
        """Until all are done; False when some still are at it."""

    def stop(self) -> None:
        """Tell all to end after the request in flight. Idempotent."""

    def tally(self) -> Tally:
        """Running counts."""

    def errors(self) -> tuple[str, ...]:
        """What went wrong in the crowd itself; makes a run INCONCLUSIVE."""

    def batches(self) -> Mapping[str, tuple[OpenBatch, ...]]:
        """What each device is known to have opened."""

    def read_back(self, *, timeout_s: float = 30.0) -> None:
        """After quiesce: ask once more for what the checkers hold against the rows."""

    def redrive(self, *, kind: str, target: str, operator_token: str) -> int | None:
        """As an operator: put something back; how many were, None without an answer."""
