"""Harm: the faults of one scenario, each with its receipt, and the undoing of all of them in reverse order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from harness.clock import utc_now, wait_for
from harness.drivers.protocol import Stack
from harness.errors import HealFailed, Inconclusive, LabError, WaitTimeout
from harness.faults.fault import Fault, Traceless
from harness.receipt import Injected, Receipt

HEAL_TIMEOUT_S = 120.0


@dataclass(slots=True)
class Live:
    """A fault under way. `injected` is replaced as it bites and heals."""

    fault: Fault
    before: str
    injected: Injected
    is_healed: bool = False


@dataclass(slots=True)
class Harm:
    """Injects, waits for bites, heals. `say` is told what a person wants to know."""

    stack: Stack
    say: Callable[[str], None]
    _lives: list[Live] = field(default_factory=list)

    def inject(self, fault: Fault, *, wait: bool = True) -> Live:
        """Read the source, do the harm, and (unless told not to) wait until it shows.

        Registered for healing before anything is done, so that a half-done injection is undone too.
        Raises: Inconclusive when the bite does not show in time.
        """
        before = fault.look(self.stack)
        live = Live(fault, before, Injected(name=fault.name, target=fault.target, injected_at=utc_now()))
        self._lives.append(live)
        self.say(f"{live.injected.label()} injected")
        fault.inject(self.stack)
        if wait:
            self.await_bite(live)
        return live

    def await_bite(self, live: Live) -> Injected:
        """Wait until the source reads otherwise in the way that this fault means; the receipt is then made.

        Raises: Inconclusive when it does not in time.
        """
        if live.injected.bitten_at is not None:
            return live.injected
        fault, last = live.fault, live.before

        def bitten() -> str | None:
            nonlocal last
            last = fault.look(self.stack)
            return last if fault.has_bitten(before=live.before, now=last) else None

        try:
            after = wait_for(
                bitten, awaiting=f"{live.injected.label()} to bite", timeout_s=fault.bite_timeout_s, seen=lambda: last
            )
        except WaitTimeout as error:
            raise Inconclusive(str(error)) from error
        receipt = Receipt(source=fault.source, before=live.before, after=after)
        live.injected = replace(live.injected, bitten_at=utc_now(), receipt=receipt)
        self.say(f"{live.injected.label()} bit: {after}")
        return live.injected

    def adopt(self, fault: Fault, *, before: str, since: datetime) -> None:
        """Take charge of harm that somebody else did and that shows now: it has a receipt and is healed with the rest.

        `before` is what the source read when all was well, at `since`.
        """
        injected = Injected(name=fault.name, target=fault.target, injected_at=since)
        receipt = Receipt(source=fault.source, before=before, after=fault.look(self.stack))
        self._lives.append(Live(fault, before, replace(injected, bitten_at=utc_now(), receipt=receipt)))
        self.say(f"{injected.label()} by somebody else's hand: {receipt.after}")

    def heal(self, live: Live) -> Injected:
        """Undo one and see its target whole. Idempotent. Raises: HealFailed."""
        if live.is_healed:
            return live.injected
        try:
            live.fault.heal(self.stack)
            wait_for(
                lambda: live.fault.is_whole(self.stack),
                awaiting=f"{live.injected.target} whole again after {live.injected.label()}",
                timeout_s=HEAL_TIMEOUT_S,
                seen=lambda: live.fault.look(self.stack),
            )
        except LabError as error:
            raise HealFailed(f"{live.injected.label()} could not be undone: {error}") from error
        live.is_healed = True
        live.injected = replace(live.injected, healed_at=utc_now())
        self.say(f"{live.injected.label()} healed")
        return live.injected

    def heal_all(self) -> None:
        """Undo everything, last first. Every heal is tried. Raises: HealFailed, the first."""
        failures: list[HealFailed] = []
        for live in reversed(self._lives):
            try:
                self.heal(live)
            except HealFailed as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def injected(self) -> tuple[Injected, ...]:
        """All of them as they stand, in order of injection."""
        return tuple(live.injected for live in self._lives)

    def unhealed(self) -> bool:
        """Whether anything is still harmed."""
        return any(not live.is_healed for live in self._lives)

    def leaves_as_new(self) -> bool:
        """Whether the stack is as if nothing had been harmed, once all is healed."""
        return all(isinstance(live.fault, Traceless) and live.fault.leaves_as_new for live in self._lives)

    def targets(self) -> frozenset[str]:
        """Replicas, stores and links that were harmed."""
        return frozenset(live.injected.target for live in self._lives)

    def harmed_now(self) -> frozenset[str]:
        """Those of them that are not healed yet."""
        return frozenset(live.injected.target for live in self._lives if not live.is_healed)
