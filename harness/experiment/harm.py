"""Harm: the faults of one scenario, each with its receipt, and the undoing of all of them in reverse order.

Faults reach their targets through drivers, SQL, Redis, HTTP and the engine. Whichever of these an error comes from, it
must neither keep the other faults from being undone nor end a wait for something that it may be a sign of: so here, and
only here in an experiment, every Exception is caught, and becomes a HealFailed or what was seen last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from harness.clock import utc_now, wait_for
from harness.drivers.protocol import STORES, Stack
from harness.errors import HealFailed, Inconclusive, LabError, WaitTimeout
from harness.faults.fault import Deadly, Fault, Probing, Traceless
from harness.receipt import Injected, Receipt

HEAL_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 30.0
Answer = TypeVar("Answer")


@dataclass(slots=True)
class Live:
    """A fault under way. `injected` is replaced as it bites and heals."""

    fault: Fault
    before: str
    injected: Injected
    is_healed: bool = False


@dataclass(slots=True)
class _Look:
    """Looks at a target that may be unable to answer: an error counts as "not yet", and is what was seen last."""

    last: str = ""

    def ask(self, question: Callable[[], Answer]) -> Answer | None:
        try:
            answer = question()
        except Exception as error:  # noqa: BLE001  # see the top of this file
            self.last = f"no answer: {_told(error)}"
            return None
        self.last = str(answer)
        return answer


@dataclass(slots=True)
class Harm:
    """Injects, waits for bites, heals. `say` is told what a person wants to know."""

    stack: Stack
    say: Callable[[str], None]
    _lives: list[Live] = field(default_factory=list)

    def inject(self, fault: Fault, *, wait: bool = True) -> Live:
        """Read the source, do the harm, and (unless told not to) wait until it shows.

        Registered for healing before anything is done, so that a half-done injection is undone too.
        Raises: Inconclusive when the bite does not show in time, or a target that is asked gives no answer before it.
        """
        before = self._look_before(fault)
        live = Live(fault, before, Injected(name=fault.name, target=fault.target, injected_at=utc_now()))
        self._lives.append(live)
        self.say(f"{live.injected.label()} injected")
        fault.inject(self.stack)
        if wait:
            self.await_bite(live)
        return live

    def _look_before(self, fault: Fault) -> str:
        """The first reading; where the target is asked, the first one that shows an answer."""
        if not isinstance(fault, Probing):
            return fault.look(self.stack)
        look = _Look()

        def well() -> str | None:
            now = look.ask(lambda: fault.look(self.stack))
            return now if now is not None and fault.is_well(now) else None

        try:
            return wait_for(
                well, awaiting=f"an answer of {fault.target}", timeout_s=ANSWER_TIMEOUT_S, seen=lambda: look.last
            )
        except WaitTimeout as error:
            raise Inconclusive(str(error)) from error

    def await_bite(self, live: Live) -> Injected:
        """Wait until the source reads otherwise in the way that this fault means; the receipt is then made.

        Raises: Inconclusive when it does not in time.
        """
        if live.injected.bitten_at is not None:
            return live.injected
        fault, look = live.fault, _Look(last=live.before)

        def bitten() -> str | None:
            now = look.ask(lambda: fault.look(self.stack))
            return now if now is not None and fault.has_bitten(before=live.before, now=now) else None

        try:
            after = wait_for(
                bitten,
                awaiting=f"{live.injected.label()} to bite",
                timeout_s=fault.bite_timeout_s,
                seen=lambda: look.last,
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
        fault, look = live.fault, _Look()

        def seen() -> str:
            look.ask(lambda: fault.look(self.stack))
            return look.last

        try:
            fault.heal(self.stack)
            wait_for(
                lambda: look.ask(lambda: fault.is_whole(self.stack)),
                awaiting=f"{live.injected.target} whole again after {live.injected.label()}",
                timeout_s=HEAL_TIMEOUT_S,
                seen=seen,
            )
        except Exception as error:
            raise HealFailed(f"{live.injected.label()} could not be undone: {_told(error)}") from error
        live.is_healed = True
        live.injected = replace(live.injected, healed_at=utc_now())
        self.say(f"{live.injected.label()} healed")
        return live.injected

    def heal_all(self) -> None:
        """Undo everything, last first, but stores before services: one that needs them is whole only with them.

        Every heal is tried. Raises: HealFailed, the first.
        """
        failures: list[HealFailed] = []
        last_first = self._lives[::-1]
        for live in sorted(last_first, key=lambda live: live.fault.target not in STORES):
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

    def ended_now(self) -> frozenset[str]:
        """Replicas that were ended by faults which are not healed yet."""
        lives = [live for live in self._lives if not live.is_healed]
        return frozenset(each for live in lives if isinstance(live.fault, Deadly) for each in live.fault.ends)

    def harmed_now(self) -> frozenset[str]:
        """Those of them that are not healed yet."""
        return frozenset(live.injected.target for live in self._lives if not live.is_healed)


def _told(error: Exception) -> str:
    """The lab's own errors in their words; of others also the kind, which their words often lack."""
    return str(error) if isinstance(error, LabError) else repr(error)
