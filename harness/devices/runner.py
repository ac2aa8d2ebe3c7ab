"""The fleet: many phones in threads, each sending its plan, until all is acknowledged and has ended, or time is up."""

from __future__ import annotations

import functools
import itertools
import random
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta

from harness.clock import Timeout, utc_now, wait_for
from harness.devices import codes, probes, trespass
from harness.devices.balancer import Balancer
from harness.devices.caller import Call, Caller
from harness.devices.client import PhoneClient
from harness.devices.generator import BatchPlan, DevicePlan, Shape, late_sync, next_sync, plans
from harness.devices.limits import LIMITS_KIND, anew_plan, limits_plan, send_limits, unanchored_plan
from harness.devices.malformed import malformed_half, send_malformed
from harness.devices.phone import OpenBatch, Phone
from harness.devices.queries import REDRIVE
from harness.devices.resuming import resume
from harness.errors import LabError
from harness.ledger import Ledger, Tally

_POLL_EVERY_S = 0.5
_FIRST_DAY, _LAST_DAY = date(2025, 6, 1), date(2026, 7, 5)
"""As many days as one may ask for at once: the app's MAX_AGGREGATE_DAYS."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What phones do beside the backfill, and how patient they are. Durations in seconds.

    `vanish` names batches (keys) of which only the first half of the chunks is ever sent; `dawdle` ones whose phone
    pauses so long between two chunks; `together` the ones whose last two chunks are uploaded at one moment (None: every
    other one's, by chance). `late` names phones (devices) that begin only when told to, by `start_late`; `held_back`
    batches of which nothing is uploaded before `let_upload`.
    `syncs` incremental syncs of each type follow the backfill. `reminders` are all due at one moment, between
    `reminder_due_in_s` and a second later; each person's first phone orders one more, whose time is over
    (`probes.TOO_LATE`). A phone pauses for `pace_s` after each op, as long as nobody waits for it to be done
    (`Fleet.join`). `retry_for_s` bounds one op, `patience_s` a phone's whole life.
    """

    syncs: int = 1
    has_extras: bool = True
    reminders: int = 2
    reminder_due_in_s: float = 3.0
    retry_for_s: float = 60.0
    patience_s: float = 180.0
    request_timeout_s: float = 15.0
    pace_s: float = 0.0
    is_polling: bool = True
    vanish: frozenset[str] = frozenset()
    dawdle: Mapping[str, float] = field(default_factory=dict)
    together: frozenset[str] | None = None
    late: frozenset[str] = frozenset()
    held_back: frozenset[str] = frozenset()


class Fleet:
    """Starts phones and follows them. `start`, then `wait_uploaded` or `join`; `stop` ends retries and polls at once.

    Plans are made up front (see `plans`), so that a tripwire can be laid at a sample before it is sent.
    """

    def __init__(self, shape: Shape, *, balancer: Balancer, ledger: Ledger, habits: Habits | None = None) -> None:
        self.shape = shape
        self.habits = habits or Habits()
        self.plans = _plans_of(shape)
        self._balancer = balancer
        self._ledger = ledger
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._held_back = {key: threading.Event() for key in self.habits.held_back}
        self._uploaded: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._batches: dict[str, list[OpenBatch]] = {plan.device: [] for plan in self.plans}
        self._errors: list[str] = []

    def start(self) -> None:
        """One thread a phone, but for those that come late."""
        self._start(lambda plan: plan.device not in self.habits.late)

    def start_late(self) -> None:
        """Those that come late begin now. Idempotent."""
        self._start(lambda plan: plan.device in self.habits.late)

    def let_upload(self, batch_key: str) -> None:
        """The phone of this batch, should it have been held back, goes on. Idempotent."""
        if (gate := self._held_back.get(batch_key)) is not None:
            gate.set()

    def _start(self, is_meant: Callable[[DevicePlan], bool]) -> None:
        for number, plan in enumerate(self.plans):
            if not is_meant(plan) or plan.device in self._uploaded:
                continue
            self._uploaded[plan.device] = threading.Event()
            thread = threading.Thread(
                target=self._guarded, args=(number, plan), name=f"phone-{plan.device}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def wait_uploaded(self, *, timeout_s: Timeout) -> None:
        """Until every phone that has begun has sent its backfill, or given it up. Raises: WaitTimeout."""
        wait_for(
            lambda: not self.sending(),
            awaiting="all phones to have sent their backfill",
            timeout_s=timeout_s,
            seen=lambda: f"{self.tally()}; still sending: {self.sending()[:5]}",
        )

    def join(self, *, timeout_s: Timeout) -> bool:
        """Until every phone is done; False when some still are at it. From now on they pause no more between ops."""
        self._hurry.set()
        try:
            wait_for(lambda: not self.is_running, awaiting="the phones", timeout_s=timeout_s)
        except LabError:
            return False
        return True

    def stop(self) -> None:
        """Tell all phones to end after the request in flight. Idempotent; `join` after it."""
        self._stop.set()
        self._hurry.set()
        for key in self._held_back:
            self.let_upload(key)

    @property
    def is_running(self) -> bool:
        """Whether any phone is still at it."""
        return any(thread.is_alive() for thread in self._threads)

    def sending(self) -> list[str]:
        """Phones that have begun and whose backfill is not yet sent."""
        return [device for device, event in self._uploaded.items() if not event.is_set()]

    def tally(self) -> Tally:
        """Running counts of the ledger."""
        return self._ledger.tally()

    def errors(self) -> tuple[str, ...]:
        """Tracebacks of phones that crashed; the lab's own fault, so a run with any is INCONCLUSIVE."""
        with self._lock:
            return tuple(self._errors)

    def batches(self) -> Mapping[str, tuple[OpenBatch, ...]]:
        """What each device has opened so far."""
        with self._lock:
            return {device: tuple(opened) for device, opened in self._batches.items()}

    def read_back(self, *, timeout_s: float = 30.0) -> None:
        """After quiesce: ask for open batches, anchors and some aggregates; the answers go into the ledger."""
        rng = random.Random(f"{self.shape.seed}/read back")
        first_of_user = {plan.user: plan for plan in reversed(self.plans)}
        for plan in self.plans:
            with self._phone(plan, retry_for_s=timeout_s, stop=threading.Event()) as phone:
                if not phone.register():
                    continue
                for batch in self.batches()[plan.device]:
                    if not batch.has_ended:
                        phone.poll(batch, is_final=True)
                phone.anchors()
                phone.anchor(rng.choice(plan.batches).type, is_final=True)
                if first_of_user[plan.user] is plan:
                    asked = [each.type for each in rng.sample(plan.batches, 3)]
                    if plan is self.plans[0]:
                        asked.append(LIMITS_KIND.identifier)
                    days = [_ask_aggregates(phone, each, is_final=True) for each in asked]
                    probes.ask_aggregates_exactly(phone.caller, type_identifier=asked[0], days=days[0])

    def sync_again(self, *, turn: int) -> None:
        """When the phones are done: each syncs once more, one after another; `turn` is above all turns before."""
        for plan in self.plans:
            with self._phone(plan, retry_for_s=self.habits.retry_for_s, stop=self._stop) as phone:
                if phone.register():
                    self._sync(phone, turn=turn, rng=random.Random(f"{self.shape.seed}/{plan.device}/sync {turn}"))

    def sync_late(self, *, turn: int, too_late: Collection[str] = ()) -> None:
        """When the phones are done: each sends samples of days long past, of every type; some users `too_late`."""
        for plan in self.plans:
            with self._phone(plan, retry_for_s=self.habits.retry_for_s, stop=self._stop) as phone:
                if phone.register():
                    self._sync_late(phone, turn=turn, is_closed=plan.user in too_late)

    def send_rest(self, batch_key: str) -> None:
        """When the batch was abandoned: its phone is back and sends what is missing, all of which must be refused."""
        for plan in self.plans:
            opened = next((each for each in self.batches()[plan.device] if each.plan.key == batch_key), None)
            if opened is None:
                continue
            with self._phone(plan, retry_for_s=self.habits.retry_for_s, stop=self._stop) as phone:
                if not phone.register():
                    return
                for index in sorted(set(range(len(opened.plan.chunks))) - opened.acknowledged):
                    phone.note_samples(opened.plan, index)
                    phone.upload(opened, index, refusal="CONFLICT")

    def redrive(self, *, kind: str, target: str, operator_token: str) -> int | None:
        """As an operator: put a batch, chunk or dead_letter back; how many were, None without an answer."""
        with self._phone(self.plans[0], retry_for_s=30.0, stop=self._stop) as phone:
            result = phone.caller.make(
                Call(
                    kind="redrive",
                    query=REDRIVE,
                    variables={"kind": kind.upper(), "target": target},
                    headers={"X-Operator-Token": operator_token},
                    facts={"redrive": kind, "target": target},
                )
            )
        return None if result.data is None else int(result.data["redrive"]["redrivenCount"])

    def phone(self, plan: DevicePlan) -> AbstractContextManager[Phone]:
        """That phone once more, beside what it does by itself; it has to register first."""
        return self._phone(plan, retry_for_s=self.habits.retry_for_s, stop=self._stop)

    @contextmanager
    def _phone(self, plan: DevicePlan, *, retry_for_s: float, stop: threading.Event) -> Iterator[Phone]:
        with closing(PhoneClient(self._balancer, timeout_s=self.habits.request_timeout_s)) as client:
            caller = Caller(
                user=plan.user,
                device=plan.device,
                client=client,
                ledger=self._ledger,
                stop=stop,
                retry_for_s=retry_for_s,
                pause=lambda: self._hurry.wait(self.habits.pace_s),
            )
            yield Phone(plan, caller=caller, ledger=self._ledger)

    def _guarded(self, number: int, plan: DevicePlan) -> None:
        try:
            with self._phone(plan, retry_for_s=self.habits.retry_for_s, stop=self._stop) as phone:
                self._live(phone, number=number)
        except Exception:  # noqa: BLE001 - the thread's top: the error becomes data of the run
            with self._lock:
                self._errors.append(f"phone {plan.device}:\n{traceback.format_exc()}")
        finally:
            self._uploaded[plan.device].set()

    def _live(self, phone: Phone, *, number: int) -> None:
        rng = random.Random(f"{self.shape.seed}/{phone.plan.device}/habits")
        if not phone.register():
            return
        if self.habits.has_extras and phone.plan.number:
            phone.register(is_away=True)
        elif self.habits.has_extras:
            phone.register_everybodys()
        for turn, batch in enumerate(phone.plan.batches):
            opened = self._send(phone, batch, rng=rng, is_doubled=self.habits.has_extras and turn == 0)
            if opened is not None and self.habits.has_extras and rng.random() < 0.3:
                probes.repeat(phone, opened, rng=rng)
        self._uploaded[phone.plan.device].set()
        if self.habits.has_extras:
            self._extras(phone, number=number, rng=rng)
            if number == 0:
                self._send_limits(phone)
        for turn in range(1, self.habits.syncs + 1):
            self._sync(phone, turn=turn, rng=rng)
        if self.habits.is_polling:
            self._poll_to_end(phone)
            if number == 0 and self.habits.has_extras and phone.anchor(LIMITS_KIND.identifier) is not None:
                self._send(phone, anew_plan(phone.plan, seed=self.shape.seed), rng=rng)
                self._poll_to_end(phone)

    def _open(self, phone: Phone, batch: BatchPlan, *, is_doubled: bool = False) -> OpenBatch | None:
        """Start a batch, once or twice at the same moment."""
        if phone.caller.is_stopped:
            return None
        opened = probes.start_at_once(phone, batch) if is_doubled else phone.start(batch)
        if opened is not None:
            with self._lock:
                self._batches[phone.plan.device].append(opened)
        return opened

    def _send(
        self, phone: Phone, batch: BatchPlan, *, rng: random.Random, is_doubled: bool = False
    ) -> OpenBatch | None:
        """Open a batch and upload its chunks, mostly in order, each until it is resolved; some last two together."""
        opened = self._open(phone, batch, is_doubled=is_doubled)
        if opened is None:
            return None
        if batch.key in self._held_back:
            self._held_back[batch.key].wait()
        order = list(range(len(batch.chunks)))
        if rng.random() < 0.2:
            rng.shuffle(order)
        if batch.key in self.habits.vanish:
            order = order[: len(order) // 2]
        steps = [[index] for index in order]
        is_hasty = rng.random() < 0.5 and self.habits.has_extras
        if len(steps) > 1 and (is_hasty if self.habits.together is None else batch.key in self.habits.together):
            steps[-2:] = [order[-2:]]
        for turn, indexes in enumerate(steps):
            if turn and batch.key in self.habits.dawdle:
                phone.caller.wait(self.habits.dawdle[batch.key])
            if phone.caller.is_stopped:
                break
            if self.habits.has_extras and turn == (len(steps) + 1) // 2 and turn:
                resume(phone, opened, attempted=frozenset(itertools.chain(*steps[:turn])))
            for index in indexes:
                phone.note_samples(batch, index)
            if len(indexes) > 1:
                probes.upload_together(phone, opened, indexes)
            elif self.habits.has_extras and rng.random() < 0.05:
                probes.upload_together(phone, opened, indexes * 2)
            else:
                phone.upload(opened, indexes[0])
        return opened

    def _send_limits(self, phone: Phone) -> None:
        """The import at all limits, on from where this phone's anchor of that type will stand; then one without any."""
        before = next(each for each in phone.plan.batches if each.type == LIMITS_KIND.identifier)
        anchor = phone.anchor(before.type) or before.new_anchor
        opened = self._open(phone, limits_plan(phone.plan, anchor=anchor, now=utc_now(), seed=self.shape.seed))
        if opened is not None:
            send_limits(phone, opened)
        self._send(phone, unanchored_plan(phone.plan, seed=self.shape.seed), rng=random.Random(self.shape.seed))

    def _extras(self, phone: Phone, *, number: int, rng: random.Random) -> None:
        codes.try_codes(phone.caller, replicas=self._balancer.names())
        if not phone.plan.number:
            probes.order_reminder(phone.caller, number=self.habits.reminders, due=utc_now() - probes.TOO_LATE)
        due = utc_now() + timedelta(seconds=self.habits.reminder_due_in_s + rng.random())
        for turn in range(self.habits.reminders):
            probes.order_reminder(phone.caller, number=turn, due=due, is_everybodys=turn == phone.plan.number == 0)
        _ask_aggregates(phone, rng.choice(phone.plan.batches).type, is_final=False)
        with self._lock:
            others = [
                batch
                for device, opened in sorted(self._batches.items())
                for batch in opened
                if device.partition("/")[0] != phone.plan.user
            ]
            own = list(self._batches[phone.plan.device])
        if others:
            probes.ask_as_stranger(phone.caller, batch=rng.choice(others))
        if own:
            probes.ask_without_token(phone, batch=rng.choice(own))
            probes.ask_nonsense(phone.caller, batch=rng.choice(own))
            trespass.ask_with_forged_token(phone, batch=own[0])
            trespass.redrive_as_nobody(phone.caller, batch=own[0])
            trespass.start_another(phone.caller, batch=own[-1])
        send_malformed(phone.caller, malformed_half(f"{phone.plan.device}/malformed", turn=number))

    def _sync(self, phone: Phone, *, turn: int, rng: random.Random) -> None:
        """Incremental syncs of two types, started from the anchor that the server names as current.

        Each asks for it at once again: what was just sent is hardly imported yet, and must not be named.
        """
        for batch in phone.plan.batches[:2]:
            anchor = phone.anchor(batch.type) or batch.new_anchor
            following = next_sync(phone.plan, batch=batch, anchor=anchor, turn=turn, shape=self.shape)
            self._send(phone, following, rng=rng)
            phone.anchor(batch.type)

    def _sync_late(self, phone: Phone, *, turn: int, is_closed: bool) -> None:
        for batch in phone.plan.batches:
            anchor = phone.anchor(batch.type) or batch.new_anchor
            late = late_sync(phone.plan, batch=batch, anchor=anchor, turn=turn, is_closed=is_closed, shape=self.shape)
            if late.chunks:  # a second phone may have sent nothing of a type that the first had not
                self._send(phone, late, rng=random.Random(f"{self.shape.seed}/{late.key}"))

    def _poll_to_end(self, phone: Phone) -> None:
        def all_ended() -> bool:
            with self._lock:
                opened = list(self._batches[phone.plan.device])
            for batch in opened:
                if not batch.has_ended and not phone.caller.is_stopped:
                    phone.poll(batch)
            awaited = [batch for batch in opened if batch.plan.key not in self.habits.vanish]
            return phone.caller.is_stopped or all(batch.has_ended for batch in awaited)

        try:
            wait_for(
                all_ended,
                awaiting=f"the batches of {phone.plan.device}",
                timeout_s=self.habits.patience_s,
                interval_s=_POLL_EVERY_S,
            )
        except LabError:
            return  # what has not ended by then is the checkers' concern, not the phone's


@functools.lru_cache(maxsize=1)
def _plans_of(shape: Shape) -> tuple[DevicePlan, ...]:
    """One scenario after the other sends the same, and making it takes half a second."""
    return tuple(plans(shape))


def _ask_aggregates(phone: Phone, type_identifier: str, *, is_final: bool) -> tuple[date, ...]:
    return probes.ask_aggregates(
        phone.caller, type_identifier=type_identifier, first=_FIRST_DAY, last=_LAST_DAY, is_final=is_final
    )
