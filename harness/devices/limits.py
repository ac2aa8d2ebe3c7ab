"""An import at every limit of what is accepted: the largest chunk and the smallest, the oldest sample and the longest.

And one without an anchor, and one that begins anew. One phone of a run sends them. Nothing about them is wrong: whoever
draws a limit a little closer refuses some, or loses it.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from harness.devices import queries
from harness.devices.caller import Call
from harness.devices.generator import BatchPlan, DevicePlan
from harness.devices.phone import OpenBatch, Phone, payload
from harness.devices.sample import US_PER_S, Sample
from harness.devices.streams import new_uuid, wearer
from harness.devices.types import SAMPLE_TYPES, TypeKind

MOST_SAMPLES = 1_000
"""The app's MAX_SAMPLES_PER_CHUNK; the lab keeps its own copy."""
# Of all kinds the one that is counted by its end.
LIMITS_KIND = next(kind for kind in SAMPLE_TYPES if kind.kind is TypeKind.SLEEP)
LONGEST_ANCHOR = 1_500
_DAYS = 120
_MINUTE = timedelta(minutes=1)
# Outside the backfill, so that each has its days to itself.
_LONG_AGO = datetime(2001, 6, 15, 12, tzinfo=UTC)
_LAST_WINTER = datetime(2026, 1, 5, tzinfo=UTC)
_LONG_NIGHT = datetime(2026, 2, 2, 22, tzinfo=UTC)


def limits_plan(plan: DevicePlan, *, anchor: str | None, now: datetime, seed: int) -> BatchPlan:
    """A chunk of as many samples as one may hold, and one of a single sample.

    Among them one of 2001, one that begins an hour from `now`, and one that is six days long; the others are of
    `_DAYS` days, and no two alike. Its anchor is as long as one may be.
    """
    key = f"{plan.device}/limits"
    rng = random.Random(f"{seed}/{key}")
    spans = [
        (_LONG_NIGHT, timedelta(days=6)),
        (_LONG_AGO, _MINUTE),
        (now.replace(microsecond=0) + timedelta(hours=1), _MINUTE),
        *(
            (_LAST_WINTER - timedelta(days=turn % _DAYS) + turn // _DAYS * _MINUTE, _MINUTE)
            for turn in range(MOST_SAMPLES - 2)
        ),
    ]
    watch = wearer(user=plan.user, zone=plan.zone).watch
    long, *fresh = [
        Sample(
            key=f"{key}/{number}",
            type=LIMITS_KIND.identifier,
            start_us=int(begun.timestamp()) * US_PER_S,
            end_us=int((begun + lasted).timestamp()) * US_PER_S,
            value=LIMITS_KIND.categories[-1],
            unit=LIMITS_KIND.unit,
            source=watch,
            uuid=new_uuid(rng),
        )
        for number, (begun, lasted) in enumerate(spans)
    ]
    return BatchPlan(
        key=key,
        type=LIMITS_KIND.identifier,
        starting_anchor=anchor,
        new_anchor=f"{key}/end".ljust(LONGEST_ANCHOR, "="),
        chunks=(tuple(fresh), (long,)),
    )


def unanchored_plan(plan: DevicePlan, *, seed: int) -> BatchPlan:
    """A single sample of a day of its own, as an app sends it that keeps no anchor: it follows none and moves none."""
    return _lone_plan(plan, key=f"{plan.device}/unanchored", new_anchor=None, day=1, seed=seed)


def anew_plan(plan: DevicePlan, *, seed: int) -> BatchPlan:
    """As it is sent by an app that was installed again and forgot its anchor: what is current must not fall back."""
    key = f"{plan.device}/anew"
    return _lone_plan(plan, key=key, new_anchor=f"{key}/end", day=2, seed=seed)


def _lone_plan(plan: DevicePlan, *, key: str, new_anchor: str | None, day: int, seed: int) -> BatchPlan:
    begun_us = int((_LONG_AGO + timedelta(days=day)).timestamp()) * US_PER_S
    sample = Sample(
        key=f"{key}/0",
        type=LIMITS_KIND.identifier,
        start_us=begun_us,
        end_us=begun_us + int(_MINUTE.total_seconds()) * US_PER_S,
        value=LIMITS_KIND.categories[-1],
        unit=LIMITS_KIND.unit,
        source=wearer(user=plan.user, zone=plan.zone).watch,
        uuid=new_uuid(random.Random(f"{seed}/{key}")),
    )
    return BatchPlan(
        key=key, type=LIMITS_KIND.identifier, starting_anchor=None, new_anchor=new_anchor, chunks=((sample,),)
    )


def send_limits(phone: Phone, batch: OpenBatch) -> None:
    """Upload it; before its last chunk, one with the first index that it does not have: that is refused."""
    last = len(batch.plan.chunks) - 1
    for index in range(len(batch.plan.chunks)):
        if index == last:
            _upload_beyond(phone, batch)
        phone.note_samples(batch.plan, index)
        phone.upload(batch, index)


def _upload_beyond(phone: Phone, batch: OpenBatch) -> None:
    text, digest = payload(())
    index = len(batch.plan.chunks)
    phone.caller.make(
        Call(
            kind="nonsense_upload",
            query=queries.UPLOAD_CHUNK,
            variables={"batch": batch.batch_id, "index": index, "samples": text, "digest": digest},
            refusal="BAD_REQUEST",
            batch_key=batch.plan.key,
            facts={"nonsense": "the first index too many"},
        )
    )
