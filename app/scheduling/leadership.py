"""What the leading beat does: claim ticks as they fall due, publish them, account for those that were missed."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from backend.clock import monotonic_s
from backend.env import config
from backend.logs import log_event
from backend.publish import MessageUnsendable, PublishFailed, message_send
from scheduling.entries import Entry, entries_enabled
from scheduling.lease import Held
from scheduling.ticks import (
    TickId,
    tick_published,
    ticks_claim,
    ticks_forget,
    ticks_last,
    ticks_lose,
    ticks_open,
    ticks_reopen,
    ticks_supersede,
)

logger = logging.getLogger(__name__)

MISSED_MAX = 10_000  # ticks of one entry that are recorded one by one after a downtime; a log line counts the others
MISSED_LINES_MAX = 20  # log lines of one entry's missed ticks; one more line counts the others
FORGET_AGE_S = 14 * 86_400.0
FORGET_EVERY_S = 600.0
FORGET_LIMIT = 5_000

_JUST_BEFORE = timedelta(microseconds=1)
LeaseInTime = Callable[[], Held | None]


class Leadership:
    """One uninterrupted time of leading; a new one starts by reading what the ticks say."""

    def __init__(self, *, token: UUID, holder: str) -> None:
        self._token = token
        self._holder = holder
        self._reached: dict[str, datetime] = {}  # up to when each entry's due times are accounted for
        self._signatures: dict[str, str] = {}
        self._broken: dict[str, str] = {}
        self._looked_at: datetime | None = None  # the database's clock at the last loop
        self._has_open = True
        self._retry_at_s = 0.0
        self._unsendable: dict[TickId, float] = {}  # when each is tried again
        self._account_at_s = 0.0
        self._forget_at_s = monotonic_s() + FORGET_EVERY_S

    def loop(self, lease_in_time: LeaseInTime) -> float | None:
        """Do what is due; returns seconds until the next due time, or None when the lease turns out to be lost.

        Raises: `DatabaseError`, `InterfaceError`.
        """
        lease = lease_in_time()
        if lease is None:
            return None
        now = lease.now()
        entries = self._read_entries(now)
        for entry in entries:
            if not self._claim(entry, now):
                return None
        self._looked_at = now
        names = [entry.name for entry in entries]
        self._account(names)
        if self._has_open and monotonic_s() >= self._retry_at_s:
            self._report(
                ticks_supersede(names, token=self._token),
                "before it was published a later one fell due, or its entry was disabled",
            )
            if not self._publish_open({entry.name: entry for entry in entries}, lease_in_time):
                return None
        return self._wait_s(entries, lease)

    def _read_entries(self, now: datetime) -> list[Entry]:
        entries, broken = entries_enabled()
        for name, why in broken.items():
            if self._broken.get(name) != why:
                log_event(
                    logger, "schedule_unreadable", f"entry {name} does not run: {why}", level=logging.ERROR, error=why
                )
        self._broken = broken
        fresh = [entry for entry in entries if self._signatures.get(entry.name) != entry.signature]
        last = ticks_last([entry.name for entry in fresh]) if fresh else {}
        for entry in fresh:
            self._reached[entry.name] = self._start_of(entry, last_due=last.get(entry.name), now=now)
            self._signatures[entry.name] = entry.signature
        gone = self._signatures.keys() - {entry.name for entry in entries}
        for name in gone:
            del self._signatures[name], self._reached[name]
        return entries

    def _start_of(self, entry: Entry, *, last_due: datetime | None, now: datetime) -> datetime:
        """From when on an entry's due times count.

        Edited while we lead: from the edit. Else from its last tick, which is what makes up for a downtime, but not
        from before its last edit. Without any tick there was no downtime yet: only the latest due time counts.
        """
        if self._looked_at is not None:
            return max(self._looked_at, last_due or self._looked_at)
        edited_at = min(entry.changed_at, now)
        if last_due is not None:
            return max(edited_at, last_due)
        latest = entry.due_between(after=edited_at, until=now, limit=1).latest
        return now if latest is None else latest - _JUST_BEFORE

    def _claim(self, entry: Entry, now: datetime) -> bool:
        """Insert what fell due; False when the lease is not ours."""
        due = entry.due_between(after=self._reached[entry.name], until=now, limit=MISSED_MAX)
        if due.latest is None:
            return True
        if entry.is_one_off and self._has_tick(entry):
            # The tick that it has runs, however late; one more would be too many.
            self._reached[entry.name] = due.latest
            return True
        is_held, new = ticks_claim(
            entry.name, run=due.latest, missed=due.earlier, token=self._token, holder=self._holder
        )
        if not is_held:
            return False
        self._reached[entry.name] = due.latest
        self._has_open = True
        missed = [tick for tick in new if tick.due_at != due.latest]
        self._report(missed, "no beat was leading when it fell due", uncounted=due.dropped)
        return True

    def _has_tick(self, entry: Entry) -> bool:
        """Since it was edited last, which is how an operator has it run once more."""
        last = ticks_last([entry.name]).get(entry.name)
        return last is not None and last > entry.changed_at

    def _publish_open(self, entries: dict[str, Entry], lease_in_time: LeaseInTime) -> bool:
        """Publish every claimed tick; False when the lease is over.

        A tick that cannot be sent keeps no other from being sent. A broker that is away is asked once, and again later:
        each publish may take as long as its bound.
        """
        unsendable: dict[TickId, float] = {}
        for tick in ticks_open():
            entry = entries.get(tick.entry)
            if entry is None:
                continue  # disabled just now; the next loop gives it up
            retry_at_s = self._unsendable.get(tick, 0.0)
            if monotonic_s() < retry_at_s:
                unsendable[tick] = retry_at_s
                continue
            if lease_in_time() is None:
                return False
            try:
                message_send(
                    entry.task, entry.args, kwargs=entry.kwargs, ids={"tick": str(tick)}, options=entry.options
                )
            except MessageUnsendable:
                unsendable[tick] = monotonic_s() + config().beat_renew_s
                continue
            except PublishFailed:
                self._retry_at_s = monotonic_s() + config().beat_renew_s
                return True
            tick_published(tick, holder=self._holder)
            log_event(logger, "tick_published", f"{entry.task} is due", tick=str(tick), task=entry.task)
        self._unsendable = unsendable
        self._has_open = bool(unsendable)
        return True

    def _account(self, names: list[str]) -> None:
        """Now and then: find published ticks that were lost on their way, and drop old ones."""
        if monotonic_s() < self._account_at_s:
            return
        self._account_at_s = monotonic_s() + config().beat_renew_s
        visibility_s = config().visibility_timeout_s
        lost = ticks_lose(token=self._token, overdue_s=config().overdue_s, visibility_s=visibility_s)
        self._report(lost, "published, not done, and overtaken by a later tick")
        if ticks_reopen(token=self._token, visibility_s=visibility_s):
            self._has_open = True
        if monotonic_s() >= self._forget_at_s:
            self._forget_at_s = monotonic_s() + FORGET_EVERY_S
            ticks_forget(age_s=FORGET_AGE_S, limit=FORGET_LIMIT)
            self._broken = {}  # to be told again

    def _report(self, missed: list[TickId], why: str, *, uncounted: int = 0) -> None:
        for tick in missed[:MISSED_LINES_MAX]:
            log_event(logger, "tick_missed", f"tick missed: {why}", level=logging.WARNING, tick=str(tick))
        rest = len(missed) - MISSED_LINES_MAX
        if rest > 0 or uncounted:
            log_event(
                logger,
                "tick_missed",
                f"{max(0, rest)} further ticks missed (rows), and {uncounted} older ones without a row: {why}",
                level=logging.WARNING,
                count=max(0, rest) + uncounted,
            )

    def _wait_s(self, entries: Iterable[Entry], lease: Held) -> float:
        now = lease.now()
        dues = [due for entry in entries if (due := entry.next_after(self._reached[entry.name])) is not None]
        wait = min((due - now for due in dues), default=timedelta(days=1))
        return max(0.0, wait.total_seconds())
