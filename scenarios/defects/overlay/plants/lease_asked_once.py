"""Who has led once leads for ever; what falls due is published from memory, whoever else has done so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any


def _ask_once(lease: Any) -> None:
    acquire = lease.lease_acquire
    has_led: list[bool] = []

    def lease_acquire(*, holder: str, token: Any, lease_s: float) -> Any:
        held = acquire(holder=holder, token=token, lease_s=lease_s)
        if held is not None:
            has_led.append(True)
        elif has_led:
            started_s = lease.monotonic_s()
            with lease.connection.cursor() as cursor:
                cursor.execute("SELECT clock_timestamp()")
                (now,) = cursor.fetchone()
            held = lease.Held(deadline_s=started_s + lease_s, read_at_s=lease.monotonic_s(), database_time=now)
        return held

    lease.lease_acquire = lease_acquire
    lease.Held.is_over = lambda self: False


def _remember_what_is_due(ticks: Any) -> None:
    claim, note = ticks.ticks_claim, ticks.tick_published
    due: list[Any] = []

    def ticks_claim(
        entry: str, *, run: datetime, missed: Sequence[datetime], token: Any, holder: str
    ) -> tuple[bool, list[Any]]:
        _, new = claim(entry, run=run, missed=missed, token=token, holder=holder)
        own = ticks.TickId(entry, run)
        due.append(own)
        return True, [*new, *([] if own in new else [own])]

    def tick_published(tick: Any, *, holder: str) -> None:
        due.remove(tick)
        note(tick, holder=holder)

    ticks.ticks_claim = ticks_claim
    ticks.tick_published = tick_published
    ticks.ticks_open = lambda: list(due)


PATCHES = {"scheduling.lease": _ask_once, "scheduling.ticks": _remember_what_is_due}
