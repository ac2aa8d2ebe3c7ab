"""A: the API and its phones."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.demands import await_imports, await_state
from harness.demands.giving_up import redrive
from harness.devices.generator import BatchPlan
from harness.drivers.protocol import StackSpec
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.experiment.health import import_problems
from harness.faults.database import RefuseSample
from harness.faults.held_rows import hold_batch
from harness.faults.phones import VanishPhone
from harness.faults.uploads import AbandonUploads
from harness.rows.row import Load, row
from harness.times import LAB
from harness.tripwires.aim import aims_in
from scenarios.defects import (
    abandoned_acknowledged,
    body_waited_for,
    counted_from_rows,
    never_abandoned,
    redrive_completes,
    slow_abandoned,
)

SOME = Load(phones=6, samples=6_000, planted_phones=4, planted_samples=2_400)
ABANDON_S = LAB.overdue_s + 5.0
"""Beyond *overdue*, so that an unfinished upload that alarmed would be seen to."""
BEFORE_LAST_S = 3.0
"""So long the phone of A1 pauses before it sends the last two, and the lab has to take the lock."""
PAUSE_SHARE = 0.55
"""Of the time after which an upload is given up: the pause of a slow phone between two chunks."""
FEW = Load(phones=4, samples=1_600, planted_phones=4, planted_samples=1_600)
FEWER_THAN_THREADS = 3
"""Of each process of a replica, which has two with four threads each: whichever takes them goes on answering."""
BODY_SILENCE_S = 20.0
"""How long the app waits for the next byte of a body; the lab keeps its own copy."""
ABANDON = StackSpec(env={"UPLOAD_ABANDON_S": f"{ABANDON_S:g}"})


@row(
    "A1",
    title="the last two chunks of an upload arrive at one moment, and both wait for the batch's row",
    load=SOME,
    defects=(counted_from_rows.DEFECT.expecting(Kind.LOST),),
)
def test_a1_last_two_together(x: Experiment) -> None:
    """Both are accepted, and the upload is complete: neither is counted as if the other were not there."""
    batch = next((each for plan in x.fleet.plans for each in plan.batches if len(each.chunks) > 2), None)
    if batch is None:
        raise Inconclusive("no phone sends a batch of three chunks")
    pause_s = BEFORE_LAST_S * x.crowding()
    x.dawdle({batch.key: pause_s})
    x.send_together(*([batch.key] if x.faulted else []))
    x.work()
    if not x.faulted:
        return
    all_but_two = (
        f"SELECT id::text FROM healthkit_import_batch WHERE idempotency_key = '{batch.key}' "
        f"AND uploaded_count = {len(batch.chunks) - 2}"
    )
    [(batch_id,)] = await_state(x, lambda: x.sql(all_but_two), awaiting=f"all but two chunks of {batch.key}")
    x.heal(x.inject(hold_batch(batch_id, waiters=2, before_s=pause_s)))


@row(
    "A11",
    title="a phone vanishes half-way through an upload that cannot all be imported, and is back when it was given up; "
    "another is merely slow",
    load=SOME,
    spec=ABANDON,
    defects=(
        never_abandoned.DEFECT.expecting(Kind.WRONG_ACCOUNTING),
        abandoned_acknowledged.DEFECT.expecting(Kind.WRONG_ANSWER),
        slow_abandoned.DEFECT.expecting(Kind.WRONG_ANSWER),
        redrive_completes.DEFECT.expecting(Kind.WRONG_ACCOUNTING),
    ),
)
def test_a11_phone_vanishes(x: Experiment) -> None:
    """The batch ends ABANDONED, what was uploaded is imported, no anchor moves, and nobody is alarmed meanwhile.

    What its phone sends after that is refused. A re-drive of what was given up of it imports that, and makes it no more
    complete than it is. An upload that goes on is not given up, however long it takes.
    """
    batch = x.rng.choice([plan.batches[3] for plan in x.fleet.plans if len(plan.batches[3].chunks) > 1])
    slow = _long_upload(x, other_than=batch)
    x.send_together()
    x.dawdle({slow.key: ABANDON_S * PAUSE_SHARE})
    refused = [x.inject(RefuseSample(str(aim.sample.uuid))) for aim in aims_in(x.fleet.plans, batch)]
    vanished = x.inject(VanishPhone(batch.key, x.vanish), wait=False)
    x.work()
    if vanished is None:
        return
    x.await_bite(vanished)
    alarms: set[str] = set()
    sql = f"SELECT id::text, status = 'ABANDONED' FROM healthkit_import_batch WHERE idempotency_key = '{batch.key}'"

    def is_abandoned() -> bool:
        [(batch_id, is_over)] = x.sql(sql)
        alarms.update(each.text for each in import_problems(x.stack).found if batch_id in each.text)
        return bool(is_over)

    bound_s = ABANDON_S + 2 * x.times.sweep_interval_s + 10.0
    try:
        wait_for(is_abandoned, awaiting=f"{batch.key} to be abandoned", timeout_s=bound_s, interval_s=0.5)
    except WaitTimeout:
        x.phases.note(f"{batch.key} is not abandoned after {bound_s:.0f} s")
    x.expect(
        not alarms,
        otherwise=Kind.FALSE_ALARM,
        summary=f"an upload that a phone left was an alarm before it was given up: {sorted(alarms)[:1]}",
        ids={"batch_key": batch.key},
    )
    x.join_phones().send_rest(batch.key)
    _redrive_half(x, batch, refused)
    took = x.sql(
        "SELECT extract(epoch FROM max(c.created_at) - b.created_at)::float FROM healthkit_import_batch b "
        f"JOIN healthkit_import_chunk c ON c.batch_id = b.id WHERE b.idempotency_key = '{slow.key}' "
        f"GROUP BY b.id HAVING max(c.created_at) - b.created_at > {ABANDON_S} * interval '1 second'"
    )
    status = x.sql(f"SELECT status FROM healthkit_import_batch WHERE idempotency_key = '{slow.key}'")
    x.witness("an upload that took longer than phones are waited for", took or status == [("ABANDONED",)])


def _redrive_half(x: Experiment, batch: BatchPlan, refused: list[Live | None]) -> None:
    """Once the abandoned batch has ended, put back what was given up of it: each chunk that holds a refused sample."""
    ended = (
        "SELECT b.id::text, count(*) FILTER (WHERE c.status = 'FAILED') FROM healthkit_import_batch b JOIN "
        f"healthkit_import_chunk c ON c.batch_id = b.id WHERE b.idempotency_key = '{batch.key}' "
        "AND b.finished_at IS NOT NULL GROUP BY b.id"
    )
    [(batch_id, given_up)] = await_state(x, lambda: x.sql(ended), awaiting=f"the end of {batch.key}")
    for each in refused:
        x.heal(each)
    x.witness("chunks of the abandoned upload that were given up", given_up)
    count = redrive(x, kind="batch", target=batch_id)
    x.expect(
        count == given_up,
        otherwise=Kind.WRONG_ANSWER,
        summary=f"of an abandoned batch {given_up} chunks were given up, and its re-drive put back {count}",
        ids={"batch": batch_id, "batch_key": batch.key},
    )


def _long_upload(x: Experiment, *, other_than: BatchPlan) -> BatchPlan:
    """The first batch of another phone that is slow enough with pauses between its chunks. Raises: Inconclusive."""
    for plan in x.fleet.plans:
        if other_than in plan.batches:
            continue
        for batch in plan.batches:
            if (len(batch.chunks) - 1) * PAUSE_SHARE > 1.0:
                return batch
    raise Inconclusive("no other phone sends a batch of enough chunks")


@row(
    "A13",
    title="phones vanish while they send: whole headers, half a body, and no end of the connection",
    load=FEW,
    defects=(body_waited_for.DEFECT.expecting(Kind.UNBOUNDED),),
)
def test_a13_bodies_without_an_end(x: Experiment) -> None:
    """No thread waits for the rest for long; everybody else is served meanwhile."""
    abandoned = AbandonUploads(each=FEWER_THAN_THREADS)
    live = x.inject(abandoned)
    x.work()
    if live is None:
        return
    await_imports(x)
    x.witness("uploads that the API waited for while it served others", abandoned.waiting())
    try:
        wait_for(
            lambda: not abandoned.waiting(),
            awaiting="the API to give them up",
            timeout_s=lambda: BODY_SILENCE_S + x.quiesce_deadline_s(),
            interval_s=0.2,
        )
    except WaitTimeout as error:
        x.expect(
            False,
            otherwise=Kind.UNBOUNDED,
            summary=f"for {abandoned.waiting()} of them the API still waits: {error}",
            ids={"bound": "body"},
        )
    x.heal(live)
