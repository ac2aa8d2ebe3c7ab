"""The life of a phone under load: register, backfill, follow it until it shows, then sync on from the anchor."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Final

from harness.devices.generator import BatchPlan
from harness.devices.phone import Phone
from harness.ledger import Outcome
from harness.load.booth import Booth
from harness.load.follower import Follower, Sent
from harness.load.people import READ_S, SYNCED_TYPES, is_alone, sync_after, valid_in
from harness.load.timetable import Arrival

GROUP: Final = "phone"


def live(booth: Booth, arrival: Arrival) -> None:
    """From arrival to the last sync that shows, or until the run is ended.

    What is never accepted is left at that, as a phone does; the figures name it.
    """
    with closing(booth.client()) as client:
        plan = booth.phone_plan(arrival)
        phone = Phone(plan, caller=booth.caller(plan, client=client, group=GROUP), ledger=booth.ledger)
        if not phone.register():
            return
        alone = is_alone(arrival.person)
        follower = Follower(booth, phone)
        batches = booth.batches(arrival)
        backfill = [sent for batch in batches if (sent := _send(follower, batch, alone=alone)) is not None]
        follower.to_the_end()
        for before in backfill[:SYNCED_TYPES]:
            batch = before.opened.plan
            following = sync_after(booth.order, plan, batch=batch, anchor=phone.anchor(batch.type) or batch.new_anchor)
            _send(follower, following, alone=alone, already=before.expected or 0)
        follower.to_the_end()


def _send(follower: Follower, batch: BatchPlan, *, alone: bool, already: int = 0) -> Sent | None:
    """Open a batch, upload its chunks in order, and have it followed; None when it could not be sent whole."""
    phone = follower.phone
    opened = None if phone.caller.is_stopped else phone.start(batch)
    if opened is None:
        return None
    submitted = 0.0
    for index in range(len(batch.chunks)):
        follower.pause(READ_S)
        if phone.caller.is_stopped:
            return None
        phone.note_samples(batch, index)
        submitted = time.monotonic()
        if phone.upload(opened, index) is not Outcome.OK:
            return None
    sent = Sent(opened=opened, submitted=submitted, expected=already + valid_in([batch]) if alone else None)
    follower.add(sent)
    return sent
