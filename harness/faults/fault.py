"""What a fault is: harm from outside that can be seen to bite, and undone."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from harness.drivers.protocol import Stack


class Fault(Protocol):
    """One kind of harm to one target.

    `look` reads one source outside the app; the experiment reads it before the injection and until `has_bitten` says
    that the harm shows in it. The two readings are the receipt, so a reading must say what was seen, not that it was.
    """

    @property
    def name(self) -> str:
        """Verb and noun: `kill_worker`."""

    @property
    def target(self) -> str:
        """The replica, store or link that is harmed."""

    @property
    def source(self) -> str:
        """Where `look` reads, in words."""

    @property
    def bite_timeout_s(self) -> float:
        """How long the bite may take to show."""

    def look(self, stack: Stack) -> str:
        """One reading of the source, short enough for a report."""

    def inject(self, stack: Stack) -> None:
        """Do the harm; returns at once or as soon as the harm is done."""

    def has_bitten(self, *, before: str, now: str) -> bool:
        """Whether the second reading shows the harm."""

    def heal(self, stack: Stack) -> None:
        """Undo it. Idempotent and bounded in time. Raises: LabError when it cannot be undone."""

    def is_whole(self, stack: Stack) -> bool:
        """Whether the target is seen whole again."""


@runtime_checkable
class Traceless(Protocol):
    """A fault of which nothing outlives its heal: it never reached a service or a store, or they were started anew.

    The next scenario may have the stack. A fault that does not say so leaves its stack to be ended.
    """

    @property
    def leaves_as_new(self) -> bool:
        """Whether this one does, given its target."""


@runtime_checkable
class Deadly(Protocol):
    """A fault that ends replicas of services itself and starts them anew when it is healed.

    Whatever else ends meanwhile, or ends under a fault that does not say so, was not told to.
    """

    @property
    def ends(self) -> tuple[str, ...]:
        """Those replicas."""


@runtime_checkable
class Probing(Protocol):
    """A fault whose reading asks its target for an answer, which on a crowded machine may come late once."""

    def is_well(self, reading: str) -> bool:
        """Whether the reading shows a target that answers: none other can be taken for the one before the harm."""


@runtime_checkable
class Severing(Protocol):
    """A fault that may end the backend of a parked chunk, be it with its client, its session or its server.

    After the bite of any other the chunk must still be parked, or it was not harmed half done.
    """

    @property
    def is_severing(self) -> bool:
        """Whether this one may, given its target."""
