"""A10: dead letters of several things at once, each put back alone."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.demands import await_state, expect_alarm, expect_loud
from harness.demands.giving_up import expect_open_letters, given_up_within_s, open_letters, redrive
from harness.drivers.protocol import StackSpec
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment.experiment import Experiment
from harness.faults.database import RefuseSample
from harness.faults.messages import ARGUMENTS, PublishUnknown
from harness.faults.network import HarmLink
from harness.links.toxics import Refuse
from harness.rows.row import Load, row
from harness.tripwires.aim import Aim, aims_in, point_of, targets
from harness.tripwires.tripwire import Point
from harness.witness import Monitor
from scenarios.defects import (
    batch_redrive_counts_one,
    letter_closed_unpublished,
    letter_published_twice,
    redrive_silences_all,
    unknown_discarded,
)

PUBLISH_BOUND_S = 4.0
"""Long enough for a publish that has to connect first, also on a crowded machine: whether it arrived must be known."""
SOME = Load(phones=6, samples=6_000, planted_phones=4, planted_samples=2_400)


@row(
    "A10",
    variant="one",
    title="two chunks of two batches are given up, and one of them is re-driven",
    load=SOME,
    defects=(redrive_silences_all.DEFECT.expecting(Kind.SILENT),),
)
def test_a10_one_of_two(x: Experiment) -> None:
    """The other one's dead letter stays open and goes on alarming, until it is put back as well."""
    aims = targets(x.fleet.plans, rng=x.rng)[:2]
    refused = [x.inject(RefuseSample(str(aim.sample.uuid))) for aim in aims]
    x.work()
    if not x.faulted:
        return
    first, second = (point_of(x.stack.dsn(), aim) for aim in aims)
    _await_letters(x, (first, second))
    expect_loud(x, "log:chunk_failed", names=(first.batch_id, second.batch_id))
    expect_alarm(x, "dead_letters")
    for each in refused:
        x.heal(each)
    counts = [redrive(x, kind="chunk", target=f"{first.batch_id}:{first.chunk_index}")]
    expect_open_letters(x, first, 0)
    expect_open_letters(x, second, 1)
    expect_alarm(x, "dead_letters")
    for letter in open_letters(x, second):
        counts.append(redrive(x, kind="dead_letter", target=str(letter)))
    expect_open_letters(x, second, 0)
    x.expect(
        counts == [1, 1],
        otherwise=Kind.WRONG_ANSWER,
        summary=f"one chunk re-driven, then the other by its dead letter: {counts} put back, expected 1 and 1",
        ids={"batch": second.batch_id, "chunk": str(second.chunk_index)},
    )


@row(
    "A10",
    variant="batch",
    title="two chunks of one batch are given up, and the batch is re-driven twice",
    load=SOME,
    defects=(batch_redrive_counts_one.DEFECT.expecting(Kind.LOST),),
)
def test_a10_two_of_one_batch(x: Experiment) -> None:
    """Both are put back by the first re-drive, and the batch has not ended before both are done."""
    aims = _of_one_batch(x)
    refused = [x.inject(RefuseSample(str(aim.sample.uuid))) for aim in aims]
    x.work()
    if not x.faulted:
        return
    first, second = (point_of(x.stack.dsn(), aim) for aim in aims)
    _await_letters(x, (first, second))
    expect_loud(x, "log:chunk_failed", names=(first.batch_id,))
    expect_alarm(x, "dead_letters")
    ended = f"SELECT 1 FROM healthkit_import_batch WHERE id = '{first.batch_id}' AND finished_at IS NOT NULL"
    await_state(x, lambda: x.sql(ended), awaiting="the batch's end")
    for each in refused:
        x.heal(each)
    counts = [redrive(x, kind="batch", target=first.batch_id) for _ in range(2)]
    x.expect(
        counts == [2, 0],
        otherwise=Kind.WRONG_ANSWER,
        summary=f"a batch with two given-up chunks was re-driven twice: {counts} put back, expected 2 and 0",
        ids={"batch": first.batch_id},
    )
    audited = x.sql(f"SELECT redriven_count FROM healthkit_redrive WHERE target = '{first.batch_id}' ORDER BY id")
    x.expect(
        [count for (count,) in audited] == counts,
        otherwise=Kind.SILENT,
        summary=f"two re-drives of a batch left the audit rows {audited}, told {counts}",
        ids={"batch": first.batch_id},
    )
    for point in (first, second):
        expect_open_letters(x, point, 0)


def _of_one_batch(x: Experiment) -> tuple[Aim, Aim]:
    """Raises: Inconclusive when no phone sends a batch of two chunks with a sample to aim at in both."""
    for plan in x.fleet.plans:
        for batch in plan.batches:
            if len(aims := aims_in(x.fleet.plans, batch)) > 1:
                return aims[0], aims[-1]
    raise Inconclusive("no phone sends a batch with two chunks to aim at")


@row(
    "A10",
    variant="message",
    title="a message of a task that no worker knows is kept, and re-driven: while Redis is away, then twice",
    load=SOME,
    spec=StackSpec(env={"PUBLISH_BOUND_S": f"{PUBLISH_BOUND_S:g}"}),
    defects=(
        unknown_discarded.DEFECT.expecting(Kind.SILENT),
        letter_closed_unpublished.DEFECT.expecting(Kind.WRONG_ANSWER),
        letter_published_twice.DEFECT.expecting(Kind.DUPLICATED),
    ),
)
def test_a10_unknown_task(x: Experiment) -> None:
    """It becomes a dead letter, loudly; a re-drive publishes it again, once, and the next does nothing.

    One that could not publish it, because Redis is away, says so, and the letter stays open.
    """
    monitor = x.watch_redis()
    x.work()
    unknown = PublishUnknown()
    live = x.inject(unknown, wait=False)
    expect_loud(x, "log:dead_lettered", names=(unknown.task,))
    if live is None:
        return
    letter = _await_letter(x, unknown)
    if letter is None:
        return
    x.await_bite(live)
    expect_alarm(x, "dead_letters")
    _await_heard(x, monitor, unknown)
    sent = len(monitor.published(task=unknown.task))
    away = x.inject(HarmLink("api", "redis", Refuse()))
    counts = [redrive(x, kind="dead_letter", target=str(letter))]
    x.heal(away)
    counts += [redrive(x, kind="dead_letter", target=str(letter)) for _ in range(2)]
    # Whatever was published until now comes before the lab's own next message.
    last = PublishUnknown(name="publish_another")
    following = x.inject(last, wait=False)
    _await_letter(x, last)
    x.await_bite(following)
    _await_heard(x, monitor, last)
    again = sum(each.message_id != last.message_id for each in monitor.published(task=unknown.task)) - sent
    x.witness("a message that was published again", again)
    letters = f"SELECT 1 FROM healthkit_dead_letter WHERE task_name = '{unknown.task}'"
    await_state(x, lambda: len(x.sql(letters)) >= sent + again + 1, awaiting="all of them kept")
    x.expect(
        (counts, again) == ([0, 1, 0], 1),
        otherwise=Kind.DUPLICATED if again > 1 else Kind.WRONG_ANSWER,
        summary=f"re-driven without Redis, then twice with it, the message was published {again} times and {counts} "
        "were put back; expected once, and 0, 1 and 0",
        ids={"dead_letter": str(letter)},
    )
    _see_arguments_kept(x, unknown)


def _see_arguments_kept(x: Experiment, unknown: PublishUnknown) -> None:
    """What was kept is what was sent, and what was published again came with it: nobody knew that message either."""
    args, kwargs = ARGUMENTS
    kept = x.sql(
        "SELECT DISTINCT payload->'args', payload->'kwargs' FROM healthkit_dead_letter "
        f"WHERE task_name = '{unknown.task}'"
    )
    x.expect(
        kept == [(args, kwargs)],
        otherwise=Kind.LOST,
        summary=f"a message was sent with {args} and {kwargs}; its dead letters hold {kept}",
        ids={"task": unknown.task, "message": unknown.message_id},
    )


def _await_heard(x: Experiment, monitor: Monitor, unknown: PublishUnknown) -> None:
    """Until that message was heard in Redis, and with it all that was published before."""

    def is_heard() -> bool:
        return any(each.message_id == unknown.message_id for each in monitor.published(task=unknown.task))

    await_state(x, is_heard, awaiting="what Redis was told to be heard")


def _await_letters(x: Experiment, points: tuple[Point, ...]) -> None:
    def are_there() -> bool:
        return all(open_letters(x, point) for point in points)

    try:
        wait_for(are_there, awaiting="their dead letters", timeout_s=lambda: given_up_within_s(x), interval_s=0.2)
    except WaitTimeout as error:
        x.phases.note(str(error))
    x.witness("dead letters of two chunks", are_there())


def _await_letter(x: Experiment, unknown: PublishUnknown) -> int | None:
    """The dead letter of that message; None, and an anomaly, when nobody kept it."""
    sql = f"SELECT id FROM healthkit_dead_letter WHERE message_id = '{unknown.message_id}'"
    try:
        found = wait_for(lambda: x.sql(sql), awaiting="its dead letter", timeout_s=unknown.bite_timeout_s)
    except WaitTimeout as error:
        x.expect(
            False,
            otherwise=Kind.SILENT,
            summary=f"a message of an unknown task was kept nowhere: {error}",
            ids={"task": unknown.task, "message": unknown.message_id},
        )
        return None
    return int(found[0][0])
