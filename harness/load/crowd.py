"""The crowd of a load run: Locust's processes as the experiment sees them, and their ledgers merged into its own."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from harness.clock import Timeout, wait_for
from harness.devices import probes
from harness.devices.balancer import Balancer
from harness.devices.caller import Caller
from harness.devices.client import PhoneClient
from harness.devices.generator import DevicePlan
from harness.devices.phone import OpenBatch, Phone
from harness.devices.types import SAMPLE_TYPES
from harness.errors import Inconclusive, LabError, WaitTimeout
from harness.ledger import OPS_FILE, SAMPLES_FILE, Ledger, Tally
from harness.load.booth import ARRIVALS_FILE, PROGRESS_EVERY_S, process_directory
from harness.load.locust_processes import await_page
from harness.load.order import LoadOrder
from harness.load.people import FIRST_DAY, LAST_DAY, is_alone, named_phone, phones_plans
from harness.load.progress import Progress, Stage, read_progress, sum_of
from harness.load.timetable import Arrival, Visitor, middle_s, timetable

AIMED_AT: Final = 5
NOTICED_S: Final = 2 * PROGRESS_EVERY_S
"""By so much later than it came the lab has surely noticed a moment of the timetable."""
READ_BACK: Final = 10
"""People who are asked once more at the end, drawn by the seed; the rows of all of them are read anyway."""
READ_BACK_TYPES: Final = 3
SAY_EVERY_S: Final = 5.0


class Locust(Protocol):
    """Where Locust runs: in processes on this machine, or in containers."""

    @property
    def web_port(self) -> int | None:
        """Where its web page listens on loopback, if it is open."""

    @property
    def is_running(self) -> bool:
        """Whether any of it lives."""

    def start(self) -> None:
        """Start all of it."""

    def ended(self) -> tuple[str, ...]:
        """Each part of it that has ended, with its exit code and its last words."""

    def failed(self) -> tuple[str, ...]:
        """What ended otherwise than Locust ends a run."""

    def let_end(self) -> None:
        """Give it the time to write its figures when the run is over."""

    def stop(self) -> None:
        """End it. Idempotent."""


@dataclass(slots=True)
class LocustCrowd:
    """Starts Locust and follows it. `say` gets a line of progress now and then."""

    order: LoadOrder
    directory: Path
    ledger: Ledger
    balancer: Balancer
    processes: Locust
    say: Callable[[str], None]
    read_back_phones: int = READ_BACK
    read_back_types: int = READ_BACK_TYPES
    arrivals: tuple[Arrival, ...] = field(init=False)
    _is_started: bool = False
    _stopped: bool = False
    doubts: list[str] = field(default_factory=list)
    _said_at: float = 0.0

    def __post_init__(self) -> None:
        self.arrivals = timetable(self.order)

    @property
    def plans(self) -> Sequence[DevicePlan]:
        """The phones at which a tripwire is aimed."""
        return [plan for person in aimed_at(self.arrivals) for plan in phones_plans(self.order, person=person)]

    def phones(self) -> Sequence[Arrival]:
        """Every phone's arrival, in order."""
        return [each for each in self.arrivals if each.visitor is Visitor.PHONE]

    def progress(self) -> Progress:
        """Where all processes stand together."""
        return sum_of(read_progress(each) for each in self._directories())

    @property
    def is_running(self) -> bool:
        """Whether visitors are still at it; with the web page open, Locust itself outlives them."""
        return self.processes.is_running and self.progress().stage is not Stage.OVER

    def start(self) -> None:
        """Start Locust. Idempotent."""
        if self._is_started:
            return
        self._is_started = True
        self.processes.start()
        if self.processes.web_port is not None:
            self.say(f"Locust's page: {await_page(self.processes.web_port)}")

    def wait_until(self, at_s: float) -> None:
        """Until the timetable has come to this second, or is over.

        Raises: LabError when any part of Locust has ended before.
        """
        self._follow(
            lambda now: now.stage in (Stage.DRAINING, Stage.OVER) or now.elapsed_s >= at_s,
            awaiting=f"second {at_s:.0f} of the timetable",
            timeout_s=at_s + self.order.patience_s,
        )

    def wait_arrived(self) -> None:
        """Until everybody on the timetable was let in. Raises: LabError when any part of Locust has ended before."""
        self._follow(
            lambda now: now.stage in (Stage.DRAINING, Stage.OVER),
            awaiting="the timetable to be over",
            timeout_s=self.order.limit_s + self.order.patience_s,
        )

    def wait_uploaded(self, *, timeout_s: Timeout) -> None:
        """Until everybody was let in and has left. Raises: WaitTimeout."""
        self._follow(lambda now: now.stage is Stage.OVER, awaiting="all phones", timeout_s=timeout_s)

    def join(self, *, timeout_s: Timeout) -> bool:
        """Until all visitors have left; False when some still are at it.

        Raises: LabError when a part of Locust has ended before.
        """
        if self._stopped or not self._is_started:
            return self.progress().stage is Stage.OVER
        try:
            self._follow(lambda now: now.stage is Stage.OVER, awaiting="all visitors to leave", timeout_s=timeout_s)
        except WaitTimeout:
            return False
        return True

    def stop(self) -> None:
        """End Locust; what it had noted by then is merged into the run's ledger. Idempotent."""
        if self._is_started and not self._stopped:
            self._stopped = True
            if self.progress().stage is Stage.OVER:
                self.processes.let_end()
            self.processes.stop()
            self.merge()

    def tally(self) -> Tally:
        """Counts of all ledgers so far."""
        return self.progress().tally

    def errors(self) -> tuple[str, ...]:
        """Crashed visitors and Locust processes, and what else makes the load another than the one asked for."""
        return (*self.progress().errors, *self.processes.failed(), *self.doubts)

    def batches(self) -> Mapping[str, tuple[OpenBatch, ...]]:
        """Not known here: phones follow their batches in Locust."""
        return {}

    def redrive(self, *, kind: str, target: str, operator_token: str) -> int | None:
        """Raises: Inconclusive; rows that re-drive by hand are not played under load."""
        raise Inconclusive(f"{kind} {target} cannot be re-driven in a load run; play the row with `lab chaos`")

    def read_back(self, *, timeout_s: float = 30.0) -> None:
        """Ask for anchors and aggregates of some phones once more; the answers go into the ledger.

        Ends with the first phone that gets no answer: the others would wait as long for none.
        """
        rng = random.Random(f"{self.order.seed}/read back")
        phones = self.phones()
        for arrival in rng.sample(phones, min(self.read_back_phones, len(phones))):
            plan = named_phone(self.order, person=arrival.person, number=arrival.number)
            client = PhoneClient(self.balancer, timeout_s=self.order.request_timeout_s)
            try:
                if not self._ask_again(plan, client=client, rng=rng, timeout_s=timeout_s):
                    return
            finally:
                client.close()

    def _ask_again(self, plan: DevicePlan, *, client: PhoneClient, rng: random.Random, timeout_s: float) -> bool:
        caller = Caller(
            user=plan.user,
            device=plan.device,
            client=client,
            ledger=self.ledger,
            stop=threading.Event(),
            retry_for_s=timeout_s,
        )
        phone = Phone(plan, caller=caller, ledger=self.ledger)
        if not phone.register():
            return False
        phone.anchors()
        for asked in rng.sample(SAMPLE_TYPES, self.read_back_types):
            probes.ask_aggregates(
                caller, type_identifier=asked.identifier, first=FIRST_DAY, last=LAST_DAY, is_final=True
            )
        return True

    def _directories(self) -> tuple[Path, ...]:
        return tuple(process_directory(self.order, index) for index in range(self.order.processes))

    def _follow(self, is_reached: Callable[[Progress], bool], *, awaiting: str, timeout_s: Timeout) -> None:
        def look() -> bool:
            # In this order: a process says that it is over before it ends.
            ended, is_running = self.processes.ended(), self.processes.is_running
            now = self.progress()
            self._tell(now)
            if is_reached(now):
                return True
            if now.stage is not Stage.OVER and (ended or not is_running):
                told = "\n".join((*ended, *self.errors())) or "nothing of it was started"
                raise LabError(f"Locust ended while {awaiting} was awaited:\n{told}")
            return False

        wait_for(look, awaiting=awaiting, timeout_s=timeout_s, interval_s=0.2, seen=lambda: str(self.progress()))

    def _tell(self, now: Progress) -> None:
        if now.stage is Stage.PREPARING or time.monotonic() - self._said_at < SAY_EVERY_S:
            return
        self._said_at = time.monotonic()
        self.say(
            f"{now.stage} at {now.elapsed_s:.0f} s of {self.order.run_time_s:.0f}: {now.arrived} of {now.due} came, "
            f"{now.arrived - now.done} at it, {now.tally.acknowledged_samples:,} samples accepted "
            f"(p95 {now.accept_ms:.0f} ms), latest start {1000 * now.late_s:.0f} ms late"
        )

    def merge(self) -> None:
        """One ledger out of those of all processes; a last line that was cut short is closed, and read as nothing."""
        for name in (OPS_FILE, SAMPLES_FILE, ARRIVALS_FILE):
            with (self.directory / name).open("ab") as merged:
                for path in (each / name for each in self._directories()):
                    if not path.exists():
                        continue
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, merged)
                    merged.write(b"\n")
                    path.unlink()


def aimed_at(arrivals: Sequence[Arrival]) -> Sequence[int]:
    """People of one phone, who are the next to come when the middle of the arrivals has been noticed."""
    from_s = middle_s(arrivals) + NOTICED_S
    phones = [each for each in arrivals if each.visitor is Visitor.PHONE]
    return [each.person for each in phones if each.at_s >= from_s and is_alone(each.person)][:AIMED_AT]
