"""The booth: what all visitors of one Locust process share — its ledger, the way to the api, the plans, the clock."""

from __future__ import annotations

import pickle
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import orjson

from harness.bench.figures import percentile
from harness.devices.balancer import Balancer
from harness.devices.caller import Caller
from harness.devices.client import PhoneClient
from harness.devices.generator import BatchPlan, DevicePlan
from harness.ledger import Ledger, Tally
from harness.load.meter import ACCEPT, MeasuredClient, Meter
from harness.load.order import LoadOrder
from harness.load.people import Offer, offer_of, phones_plans
from harness.load.progress import Progress, Stage
from harness.load.timetable import Arrival, Visitor, part_of

PROGRESS_EVERY_S: Final = 1.0
RECENT: Final = 200
READY_FILE: Final = "ready"
"""When a process had made its plans, in seconds since the epoch."""
LOOK_EVERY_S: Final = 0.05
MARGIN_S: Final = 1.0
"""From when the last of several processes is ready until all begin: the others must have seen it by then."""
ARRIVALS_FILE: Final = "arrivals.jsonl"
"""Each visitor that began, how late, and what it will send."""


def process_directory(order: LoadOrder, index: int) -> Path:
    """Where a Locust process keeps its ledger and its progress."""
    return Path(order.directory) / f"process-{index}"


@dataclass(slots=True)
class Booth:
    """One process of a load run. `prepare`, then `begin`; `close` when its last visitor has left.

    `begins_at` is the first second of the timetable, since the epoch; the same for all processes.
    """

    order: LoadOrder
    index: int
    meter: Meter
    stop: threading.Event = field(default_factory=threading.Event)
    directory: Path = field(init=False)
    arrivals: tuple[Arrival, ...] = field(init=False)
    ledger: Ledger = field(init=False)
    balancer: Balancer = field(init=False)
    begins_at: float | None = None
    _offers: dict[tuple[int, int], Offer] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _progress: Progress = field(default_factory=Progress)
    _begun: float = 0.0
    _accepts: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _closing: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.directory = process_directory(self.order, self.index)
        self.arrivals = part_of(self.order, index=self.index)
        self.ledger = Ledger(self.directory)
        (self.directory / READY_FILE).unlink(missing_ok=True)
        self.balancer = Balancer(self.order.targets)
        self._progress = replace(self._progress, due=len(self.arrivals))
        self._thread = threading.Thread(target=self._report, name="progress", daemon=True)
        self._thread.start()

    def prepare(self) -> Iterator[None]:
        """Make all plans and put them beside the ledger; yields after each person, so that others get a turn."""
        self._plans().mkdir(parents=True, exist_ok=True)
        wanted = {(each.person, each.number) for each in self.arrivals if each.visitor is Visitor.PHONE}
        for person in sorted({person for person, _ in wanted}):
            for number, plan in enumerate(phones_plans(self.order, person=person)):
                if (person, number) in wanted:
                    self._store(plan, person=person, number=number)
            yield

    def begin(self) -> bool:
        """Start the clock of the timetable together with all other processes, and the balancer's health checks.

        False when the run was ended before all of them were ready.
        """
        self.balancer.start()
        self._say_ready()
        while (ready := self._all_ready()) is None:
            if self.stop.wait(LOOK_EVERY_S):
                return False
        self.begins_at = max(ready) + (MARGIN_S if self.order.processes > 1 else 0.0)
        self._begun = time.monotonic() + self.begins_at - time.time()
        self._progress = replace(self._progress, stage=Stage.ARRIVING)
        return True

    @property
    def elapsed_s(self) -> float:
        """Since the timetable began; negative until all processes begin."""
        return time.monotonic() - self._begun if self._begun else 0.0

    def wait_for(self, arrival: Arrival) -> bool:
        """Until its moment has come; False when the run was ended before."""
        left_s = arrival.at_s - self.elapsed_s
        return not (self.stop.wait(left_s) if left_s > 0 else self.stop.is_set())

    def let_in(self) -> None:
        """Note that a visitor is let in; `drain` waits for it from now on."""
        with self._lock:
            self._progress = replace(self._progress, arrived=self._progress.arrived + 1)

    def came(self, arrival: Arrival) -> float:
        """Note that a visitor has begun; by how many seconds too late."""
        late_s = max(0.0, self.elapsed_s - arrival.at_s)
        row = {"visitor": arrival.visitor, "person": arrival.person, "at_s": arrival.at_s, "late_s": round(late_s, 4)}
        if arrival.visitor is Visitor.PHONE:
            row |= asdict(self._offers[arrival.person, arrival.number])
        with self._lock:
            self._progress = replace(self._progress, late_s=max(self._progress.late_s, late_s))
            with (self.directory / ARRIVALS_FILE).open("ab") as file:
                file.write(orjson.dumps(row) + b"\n")
        return late_s

    def left(self) -> None:
        """Note that a visitor is done."""
        with self._lock:
            self._progress = replace(self._progress, done=self._progress.done + 1)

    def failed(self, error: str) -> None:
        """Note a failure of the lab itself."""
        with self._lock:
            self._progress = replace(self._progress, errors=(*self._progress.errors, error))

    def drain(self) -> bool:
        """Wait until all who came have left; False when they had not when patience ended, or the run was ended."""
        self._progress = replace(self._progress, stage=Stage.DRAINING)
        while self._progress.done < self._progress.arrived:
            if self.elapsed_s >= self.order.limit_s or self.stop.wait(0.1):
                return False
        return True

    def close(self) -> None:
        """Write the last progress, close the ledger, remove the plans. Idempotent."""
        self.stop.set()
        self.balancer.stop()
        shutil.rmtree(self._plans(), ignore_errors=True)
        self._progress = replace(self._progress, stage=Stage.OVER)
        self._closing.set()
        self._thread.join(2 * PROGRESS_EVERY_S)
        self.ledger.close()

    def caller(self, plan: DevicePlan, *, client: PhoneClient, group: str) -> Caller:
        """A device's calls: measured, noted in this process's ledger, ended by `stop`."""
        return Caller(
            user=plan.user,
            device=plan.device,
            client=MeasuredClient(client, self._measure, group),
            ledger=self.ledger,
            stop=self.stop,
            retry_for_s=self.order.retry_for_s,
        )

    def client(self) -> PhoneClient:
        """Connections of a visitor's own."""
        return PhoneClient(self.balancer, timeout_s=self.order.request_timeout_s)

    def phone_plan(self, arrival: Arrival) -> DevicePlan:
        """Whose phone arrives; its batches come one by one from `batches`."""
        plan: DevicePlan = pickle.loads((self._plans() / f"{arrival.person}-{arrival.number}.plan").read_bytes())
        return plan

    def batches(self, arrival: Arrival) -> Iterator[BatchPlan]:
        """What a phone sends, one batch in memory at a time."""
        count = 0
        while (path := self._plans() / f"{arrival.person}-{arrival.number}-{count}.batch").exists():
            batch: BatchPlan = pickle.loads(path.read_bytes())
            yield batch
            count += 1

    def _say_ready(self) -> None:
        path = self.directory / READY_FILE
        temporary = path.with_suffix(".new")
        temporary.write_text(str(time.time()))
        temporary.replace(path)

    def _all_ready(self) -> list[float] | None:
        """When each process was ready, once all are."""
        paths = [process_directory(self.order, index) / READY_FILE for index in range(self.order.processes)]
        return [float(path.read_text()) for path in paths] if all(path.exists() for path in paths) else None

    def _plans(self) -> Path:
        return self.directory / "plans"

    def _store(self, plan: DevicePlan, *, person: int, number: int) -> None:
        self._offers[person, number] = offer_of(self.order, plan)
        for at, batch in enumerate(plan.batches):
            (self._plans() / f"{person}-{number}-{at}.batch").write_bytes(pickle.dumps(batch))
        (self._plans() / f"{person}-{number}.plan").write_bytes(pickle.dumps(replace(plan, batches=())))

    def _measure(self, group: str, name: str, *, took_s: float, problem: str | None = None) -> None:
        if name == ACCEPT:
            self._accepts.append(took_s)
        self.meter(group, name, took_s=took_s, problem=problem)

    def _report(self) -> None:
        while True:
            is_last = self._closing.wait(PROGRESS_EVERY_S)
            recent = list(self._accepts)
            accept_ms = 1000 * percentile(recent, 0.95) if recent else 0.0
            tally: Tally = self.ledger.tally()
            elapsed_s = max(0.0, self.elapsed_s)
            replace(self._progress, elapsed_s=elapsed_s, accept_ms=accept_ms, tally=tally).write(self.directory)
            if is_last:
                return
