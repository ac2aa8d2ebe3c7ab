"""The life of a phone under load: register, backfill, follow it until it shows, then sync on from the anchor."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Final

from harness.devices import queries
from harness.devices.caller import Call
from harness.devices.generator import BatchPlan, next_sync
from harness.devices.phone import OpenBatch, Phone
from harness.ledger import Outcome
from harness.load.booth import Booth
from harness.load.meter import END_TO_END
from harness.load.people import is_alone, valid_in
from harness.load.timetable import Arrival

GROUP: Final = "phone"
POLL_EVERY_S: Final = 0.5
"""How often a phone asks; end-to-end latency cannot be told finer."""
READ_S: Final = 0.25
"""What a phone takes to read the samples of one chunk out of its health store, before it can send them."""
SYNCED_TYPES: Final = 2
FIRST_DAY, LAST_DAY = date(2026, 3, 1), date(2026, 5, 31)


@dataclass(slots=True)
class Sent:
    """A batch that is wholly sent. `submitted` is monotonic, when its last chunk was first offered.

    `expected` records must show in the aggregates of its type; None where another phone writes there, too.
    """

    opened: OpenBatch
    submitted: float
    expected: int | None
    is_visible: bool = False


def live(booth: Booth, arrival: Arrival) -> None:
    """From arrival to the last sync that shows, or until the run is ended."""
    with closing(booth.client()) as client:
        plan = booth.phone_plan(arrival)
        phone = Phone(plan, caller=booth.caller(plan, client=client, group=GROUP), ledger=booth.ledger)
        if not phone.register():
            return
        alone = is_alone(arrival.person)
        backfill = [sent for batch in booth.batches(arrival) if (sent := _send(phone, batch, alone=alone)) is not None]
        _follow(booth, phone, backfill)
        syncs = []
        for before in backfill[:SYNCED_TYPES]:
            batch = before.opened.plan
            anchor = phone.anchor(batch.type) or batch.new_anchor
            following = next_sync(plan, batch=batch, anchor=anchor, turn=1, shape=booth.order.data())
            sent = _send(phone, following, alone=alone, already=before.expected or 0)
            if sent is not None:
                syncs.append(sent)
        _follow(booth, phone, syncs)


def _send(phone: Phone, batch: BatchPlan, *, alone: bool, already: int = 0) -> Sent | None:
    """Open a batch and upload its chunks in order; None when it could not be sent whole."""
    opened = None if phone.caller.is_stopped else phone.start(batch)
    if opened is None:
        return None
    submitted = 0.0
    for index in range(len(batch.chunks)):
        phone.caller.wait(READ_S)
        if phone.caller.is_stopped:
            return None
        phone.note_samples(batch, index)
        submitted = time.monotonic()
        if phone.upload(opened, index) is not Outcome.OK:
            return None
    return Sent(opened=opened, submitted=submitted, expected=already + valid_in([batch]) if alone else None)


def _follow(booth: Booth, phone: Phone, batches: Iterable[Sent]) -> None:
    """Poll until every batch has ended and shows in the aggregates."""
    waiting = list(batches)
    while waiting and not phone.caller.is_stopped:
        for each in waiting:
            if not each.opened.has_ended:
                phone.poll(each.opened)
            if each.opened.has_ended:
                each.is_visible = _is_visible(booth, phone, each)
        waiting = [each for each in waiting if not each.is_visible]
        if waiting:
            phone.caller.wait(POLL_EVERY_S)


def _is_visible(booth: Booth, phone: Phone, sent: Sent) -> bool:
    """Ask for the aggregates; when they hold the batch, note how long that took since it was submitted."""
    plan = sent.opened.plan
    if sent.expected is None:
        return True
    expected = sent.expected
    facts = {"final": False, "visible_batch": plan.key, "chunks": len(plan.chunks)}
    seen: list[float] = []

    def read(data: dict[str, list[dict[str, int]]]) -> dict[str, float | int]:
        count = sum(day["sampleCount"] for day in data["aggregates"])
        if count < expected:
            return {"count": count}
        seen.append(time.monotonic() - sent.submitted)
        return {"count": count, "end_to_end_s": round(seen[0], 4)}

    phone.caller.make(
        Call(
            kind="aggregates",
            query=queries.AGGREGATES,
            variables={"type": plan.type, "from": FIRST_DAY.isoformat(), "to": LAST_DAY.isoformat()},
            type=plan.type,
            facts=facts,
        ),
        facts_of=read,  # type: ignore[arg-type]  # the answer's shape is the schema's; a wrong one is a finding
    )
    if seen:
        booth.meter(*END_TO_END, took_s=seen[0])
    return bool(seen)
