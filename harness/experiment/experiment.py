"""The experiment: what a scenario holds in its hands while it plays.

A scenario reads like a table row: start the phones, park a chunk, do harm, let go. The life cycle around it (gate
before; heal, quiesce, observe, check and steady state after) is `harness/experiment/life.py`'s.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.anomaly import Anomaly, Kind
from harness.clock import Timeout, pause, utc_now, wait_for
from harness.devices.balancer import Balancer
from harness.devices.generator import Shape
from harness.devices.runner import Fleet, Habits
from harness.drivers.protocol import Stack
from harness.errors import Inconclusive, LabError, WaitTimeout
from harness.evidence.evidence import Bound, LoudSignal, ReplicaExit
from harness.evidence.log_cut import LogCut
from harness.evidence.states import StateWatch
from harness.evidence.watch import Watch, Watched
from harness.experiment.contention import Contention
from harness.experiment.crowd import Crowd
from harness.experiment.harm import Harm, Live
from harness.experiment.health import Problem, import_problems
from harness.experiment.phases import Phases
from harness.experiment.quiesce import quiesce
from harness.experiment.steady import GATE_ALLOWANCE_S
from harness.faults.fault import Fault, Severing
from harness.lab_session import lab_session
from harness.ledger import Ledger
from harness.receipt import Injected, Receipt
from harness.rows.plan import Plan
from harness.rows.row import Row
from harness.times import Pace, Recovery, Times, quiesce_deadline_s
from harness.tripwires.aim import point_of, targets
from harness.tripwires.commit_wait import CommitWait
from harness.tripwires.tripwire import MidChunk, Parked, Point
from harness.witness import Monitor

RETRY_S = 60.0
AIMS = 5
MIN_QUIET_S = 2.0
EXIT_KNOWN_TIMEOUT_S = 5.0
"""A replica's processes are gone a moment before its exit is known."""
DUE_S = 4.0
"""The phones' reminders fall due at most so long after they were ordered (devices' habits)."""


@dataclass(slots=True)
class Experiment:
    """One scenario being played. Everything it starts is undone by `undo`, whatever happens."""

    plan: Plan
    stack: Stack
    directory: Path
    seed: int
    times: Times
    pace: Pace | None
    phases: Phases
    harm: Harm
    make_crowd: Callable[[Experiment], Crowd]
    witnesses: dict[str, Any] = field(default_factory=dict)
    missing_witnesses: list[str] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    may_give_up: set[tuple[str, int]] = field(default_factory=set)
    must_abandon: set[str] = field(default_factory=set)
    may_clean: bool = False
    may_miss_ticks: set[str] = field(default_factory=set)
    request_bound_s: float | None = None
    executions: dict[tuple[str, int], int] = field(default_factory=dict)
    loud: list[LoudSignal] = field(default_factory=list)
    later: list[Callable[[], None]] = field(default_factory=list)
    refusals: set[str] = field(default_factory=set)
    exits: list[ReplicaExit] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    moving: tuple[str, ...] = ()
    recovery_s: dict[str, float] = field(default_factory=dict)
    rng: random.Random = field(init=False)
    balancer: Balancer = field(init=False)
    ledger: Ledger = field(init=False)
    habits: Habits = field(init=False)
    fleet: Crowd = field(init=False)
    logs: LogCut = field(init=False)
    watch: Watch = field(init=False)
    commits: CommitWait = field(init=False)
    contention: Contention = field(default_factory=Contention)
    started_at: datetime = field(init=False)
    has_worked: bool = False
    monitor: Monitor | None = None
    _tripwires: dict[Point, MidChunk] = field(default_factory=dict)
    _parked: list[Parked] = field(default_factory=list)
    _is_quiesced: bool = False

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}/{self.plan.row.id}/{self.plan.row.variant}")
        self.balancer = Balancer(self.stack.api_urls())
        self.ledger = Ledger(self.directory)
        self.habits = Habits(patience_s=self.quiesce_deadline_s() + RETRY_S, retry_for_s=RETRY_S)
        self.commits = CommitWait(
            self.stack.dsn(), timeout_s=self.times.statement_timeout_s, on_parked=self._note_commit
        )
        self.logs = LogCut.now(self.stack.directory / "logs")
        self.started_at = utc_now()
        self.fleet = self.make_crowd(self)
        watched = Watched(
            dsn=self.stack.dsn(),
            redis_url=self.stack.redis_url(),
            api_urls=self.stack.api_urls,
            states=StateWatch(self.stack),
            tally=self.fleet.tally,
        )
        self.watch = Watch(watched, self.directory, on_reading=self.phases.reading)
        self.watch.start()

    @property
    def row(self) -> Row:
        """The row that is played."""
        return self.plan.row

    @property
    def faulted(self) -> bool:
        """Whether faults are injected; without, `inject` and `hold` do nothing, and witnesses are not asked for."""
        return self.plan.faulted

    @property
    def outage_s(self) -> float:
        """How long a store was away that is back, at the longest: back-off may have built up for as long."""
        if self.row.recovery is not Recovery.STORE_AWAY:
            return 0.0
        lasted = [each.healed_at - each.injected_at for each in self.harm.injected() if each.healed_at is not None]
        return max((each.total_seconds() for each in lasted), default=0.0)

    def shape(self) -> Shape:
        """What the phones send."""
        return Shape(seed=self.seed, phones=self.plan.phones(), samples=self.plan.samples())

    def work(self) -> None:
        """Let the phones begin; they work in the background until they are done."""
        self.phases.enter("work")
        self.balancer.start()
        self.fleet.start()
        self.has_worked = True

    def vanish(self, batch_key: str) -> None:
        """Let the phone of this batch go away half-way through its upload; before the phones begin."""
        self.must_abandon.add(batch_key)
        self._tell_phones(vanish=self.habits.vanish | {batch_key})

    def dawdle(self, pauses_s: Mapping[str, float]) -> None:
        """Let the phones of these batches pause so long between two of their chunks; before the phones begin."""
        self._tell_phones(dawdle={**self.habits.dawdle, **pauses_s})

    def send_together(self, *batch_keys: str) -> None:
        """Let the last two chunks of these batches, and of no others, be uploaded at one moment; before they begin."""
        self._tell_phones(together=frozenset(batch_keys))

    def delay(self, devices: Iterable[str]) -> None:
        """Let these phones begin only with `start_late`; before the others begin."""
        self._tell_phones(late=self.habits.late | set(devices))

    def start_late(self) -> None:
        """Let the phones begin that were delayed. Raises: Inconclusive when they are not the lab's own."""
        if not isinstance(self.fleet, Fleet):
            raise Inconclusive("only the lab's own phones can be told when to begin")
        self.fleet.start_late()

    def slow_down(self, pace_s: float) -> None:
        """Let phones pause so long after each op, so that they are at it for longer; those that have begun do not."""
        if not self.has_worked:
            self._tell_phones(pace_s=pace_s)

    def await_uploads(self) -> None:
        """Wait until every phone's backfill is sent. Raises: Inconclusive when it is not in time."""
        try:
            self.fleet.wait_uploaded(timeout_s=self.quiesce_deadline_s)
        except WaitTimeout as error:
            raise Inconclusive(str(error)) from error

    def join_phones(self, *, within_s: Timeout | None = None) -> Fleet:
        """Wait until the lab's phones are done; who they are. By default as long as a stack may take to be quiet.

        Raises: Inconclusive when they are not done in time, or not the lab's own.
        """
        if not isinstance(self.fleet, Fleet):
            raise Inconclusive("only the lab's own phones can be told what to do when they are done")
        if not self.fleet.join(timeout_s=self.quiesce_deadline_s if within_s is None else within_s):
            raise Inconclusive("phones are still at it")
        return self.fleet

    def quiesce_deadline_s(self) -> float:
        """How long the healed stack may take until nothing is in flight; computed, see harness/times.py."""
        return quiesce_deadline_s(
            self.times,
            self.row.recovery,
            pace=self.pace,
            samples=self.plan.samples(),
            outage_s=self.outage_s,
            due_s=DUE_S + 2 * self.times.reminder_interval_s,
            stretch=self.contention.stretch(),
        )

    def park_chunk(self) -> Parked:
        """Start the phones unless they work already, and wait until a chunk is demonstrably half done.

        Which chunk is drawn from the seed. Of phones that begin now, its own is held back until its key is held. Of
        those that work already it is not: where such a chunk was imported before, the next one is taken.
        Raises: Inconclusive when no chunk could be parked.
        """
        coming = [plan for plan in self.fleet.plans if plan.device not in self.habits.late]
        aims = targets(coming, rng=self.rng)[:AIMS]
        if not self.has_worked:
            self._tell_phones(held_back=frozenset(aim.batch_key for aim in aims[:1]))
            self.work()
        doubts: list[str] = []
        for aim in aims:
            try:
                tripwire = MidChunk(self.stack.dsn(), point_of(self.stack.dsn(), aim))
            except Inconclusive as error:
                doubts.append(str(error))
                continue
            finally:
                if isinstance(self.fleet, Fleet):
                    self.fleet.let_upload(aim.batch_key)
            self._tripwires[tripwire.point] = tripwire
            parked = tripwire.wait_until_parked(timeout_s=self.quiesce_deadline_s)
            self._parked.append(parked)
            self.witnesses["a chunk half done"] = {
                "batch": parked.point.batch_id,
                "chunk": parked.point.chunk_index,
                "worker": parked.replica,
                "source": parked.receipt.source,
                "seen": parked.receipt.after,
            }
            self.phases.note(f"parked: {parked.receipt.after}")
            return parked
        raise Inconclusive("no chunk could be parked: " + "; ".join(doubts))

    def release(self, parked: Parked) -> None:
        """Let go of the key that holds this chunk. Idempotent."""
        if (tripwire := self._tripwires.pop(parked.point, None)) is not None:
            self._parked.remove(parked)
            tripwire.release()

    def see_parked(self, parked: Parked) -> None:
        """Whether the worker still stands where it was parked. Raises: Inconclusive when it does not."""
        if not self._tripwires[parked.point].holds(parked):
            # Whatever a row demands of its executions is about a chunk that was harmed half done.
            self.executions.pop((parked.point.batch_key, parked.point.chunk_index), None)
            raise Inconclusive(
                f"chunk {parked.point.chunk_index} of {parked.point.batch_id} is not half done any more: backend "
                f"{parked.backend_pid} of {parked.replica} left its tripwire before it was released"
            )

    def inject(self, fault: Fault, *, wait: bool = True) -> Live | None:
        """Do harm and (unless told not to) wait for its receipt; None when this run is played without faults."""
        if not self.faulted:
            return None
        self.phases.enter("inject", deadline_s=fault.bite_timeout_s)
        live = self.harm.inject(fault, wait=wait)
        if wait:
            self._see_who_is_parked(live)
        self.phases.enter("hold")
        return live

    def await_bite(self, live: Live | None) -> Injected | None:
        """Wait for the receipt of a fault that was injected without waiting."""
        if live is None:
            return None
        injected = self.harm.await_bite(live)
        self._see_who_is_parked(live)
        return injected

    def hold(self, duration_s: float) -> None:
        """Let the harm last. Does nothing in a run without faults."""
        if self.faulted:
            pause(duration_s)

    def heal(self, live: Live | None) -> None:
        """Undo one fault now rather than at the end."""
        if live is not None:
            self.phases.enter("heal")
            self.note_exits()
            self.harm.heal(live)

    def heal_all(self) -> None:
        """Release every tripwire and undo every fault, last first; each is tried. Raises: HealFailed."""
        try:
            self.commits.release()
        finally:
            self._parked.clear()
            while self._tripwires:
                self._tripwires.popitem()[1].release()
            if self.harm.unhealed():
                self.phases.enter("heal")
            try:
                self.note_exits()
            finally:
                self.harm.heal_all()

    def note_exits(self) -> None:
        """Keep in mind which replicas are down now, before a heal starts them anew; those that a fault ended were told.

        What is still down when all is healed, nobody told.
        """
        told = self.harm.ended_now()
        for replica in self.stack.replicas():
            if not self.stack.processes(replica):
                end = self.stack.exit_of(replica, timeout_s=EXIT_KNOWN_TIMEOUT_S)
                if end is not None:
                    seen = ReplicaExit(replica=replica, code=end.code, is_told=replica in told)
                    self.exits += [seen] if seen not in self.exits else []

    def watch_redis(self) -> Monitor:
        """Listen to every command that Redis is given, from now on."""
        if self.monitor is None:
            self.monitor = Monitor(self.stack.redis_url(), self.directory / "monitor.jsonl")
        return self.monitor

    def expect(self, holds: bool, *, otherwise: Kind, summary: str, ids: Mapping[str, str] | None = None) -> None:
        """What this row demands beyond the invariants that every row is checked for."""
        if not holds:
            self.anomalies.append(Anomaly(kind=otherwise, summary=summary, ids=dict(ids or {})))

    def witness(self, name: str, evidence: object) -> None:
        """What must have happened for this run to prove anything; empty evidence makes it INCONCLUSIVE."""
        if not self.faulted:
            return
        if evidence:
            self.witnesses[name] = evidence
        else:
            self.missing_witnesses.append(name)

    def await_problem(self, codes: tuple[str, ...], *, timeout_s: float, about: str = "") -> Problem | None:
        """Wait until /health/imports of some api replica names one of these, of `about`; None when none ever did.

        The seconds that the first such wait took are recorded as the recovery figure `alarm_after`.
        """
        begun = time.monotonic()
        try:
            found = wait_for(
                lambda: import_problems(self.stack).get_any(codes, about=about),
                awaiting=f"one of {', '.join(codes)}",
                timeout_s=timeout_s,
            )
        except WaitTimeout:
            return None
        self.recovery_s.setdefault("alarm_after", time.monotonic() - begun)
        return found

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """A look into Postgres, past the links."""
        with lab_session(self.stack.dsn()) as session:
            return session.execute(query).fetchall()

    def crowding(self) -> float:
        """How many times more crowded the machine is than during the control; 1 without a control."""
        return self.pace.crowding(self.contention.stretch()) if self.pace is not None else 1.0

    def control_s(self) -> float:
        """What the control took, on a machine as crowded as this is now; without one, the allowance of the gate."""
        return self.pace.whole_s * self.crowding() if self.pace is not None else GATE_ALLOWANCE_S

    def injected_at(self) -> datetime | None:
        """When the first fault was injected; None when none was."""
        injected = self.harm.injected()
        return injected[0].injected_at if injected else None

    def quiesce(self) -> None:
        """Wait for the phones and until nothing is in flight, or the deadline; once, at the end, if not before.

        One deadline for both. What is still in flight then is for the checkers to name.
        """
        if self._is_quiesced:
            return
        self._is_quiesced = True
        self.heal_all()
        self.phases.enter("quiesce", deadline_s=self.quiesce_deadline_s())
        begun = time.monotonic()
        are_done = not self.has_worked or self.fleet.join(timeout_s=self.quiesce_deadline_s)
        self.fleet.stop()
        joined_s = time.monotonic() - begun
        self.moving = quiesce(
            self.stack.dsn(),
            self.stack.redis_url(),
            timeout_s=lambda: max(MIN_QUIET_S, self.quiesce_deadline_s() - joined_s),
        ).moving
        if self.faulted and self.harm.injected():
            self.recovery_s["quiet_after_heal"] = time.monotonic() - begun
        if self.moving or not are_done:
            self.phases.note(f"still in flight at the deadline: {'; '.join(self.moving[:3]) or 'phones'}")

    def undo(self) -> None:
        """End all that this experiment started: tripwires, faults, phones, listeners. Idempotent.

        Raises: HealFailed when a fault could not be undone; everything else is ended first.
        """
        try:
            self.heal_all()
        finally:
            self.fleet.stop()
            self.fleet.join(timeout_s=self.habits.request_timeout_s)
            self.balancer.stop()
            self.watch.stop()
            self.ledger.close()
            if self.monitor is not None:
                self.monitor.close()

    def _tell_phones(self, **habits: Any) -> None:
        """Other habits for phones that have not begun."""
        self.habits = replace(self.habits, **habits)
        self.fleet = self.make_crowd(self)

    def _see_who_is_parked(self, live: Live) -> None:
        """What this harm bit was half done, unless it is harm that may itself end who is parked."""
        if not (isinstance(live.fault, Severing) and live.fault.is_severing):
            for parked in self._parked:
                self.see_parked(parked)

    def _note_commit(self, receipt: Receipt) -> None:
        self.witnesses["a COMMIT unanswered"] = {"source": receipt.source, "seen": receipt.after}
        self.phases.note(f"parked: {receipt.after}")


def fleet_of(x: Experiment) -> Crowd:
    """The phones of an ordinary scenario."""
    return Fleet(x.shape(), balancer=x.balancer, ledger=x.ledger, habits=x.habits)


def new_experiment(
    *,
    plan: Plan,
    stack: Stack,
    directory: Path,
    seed: int,
    pace: Pace | None,
    phases: Phases,
    make_crowd: Callable[[Experiment], Crowd] = fleet_of,
) -> Experiment:
    """An experiment on a stack that is up. Raises: LabError when the directory exists already."""
    try:
        directory.mkdir(parents=True)
    except FileExistsError as error:
        raise LabError(f"{directory} exists: two scenarios of one name in one run") from error
    return Experiment(
        plan=plan,
        stack=stack,
        directory=directory,
        seed=seed,
        times=plan.times(),
        pace=pace,
        phases=phases,
        harm=Harm(stack=stack, say=phases.note),
        make_crowd=make_crowd,
    )
