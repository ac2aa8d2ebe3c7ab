"""W8 and A6: chunks that are given up without an error of their own, and batches of which nothing is left."""

from __future__ import annotations

from typing import Final

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands.demands import expect_alarm, expect_executions, expect_loud
from harness.demands.giving_up import given_up_within_s, redrive, refuse_sample
from harness.errors import WaitTimeout
from harness.experiment.experiment import Experiment
from harness.faults.process import KillChild
from harness.rows.row import Load, row
from harness.times import Recovery
from harness.tripwires.tripwire import Point
from harness.witness import claim_history
from scenarios.defects import failed_batch_completed, failed_stays_failed, no_cap

SOME = Load(phones=6, samples=6_000, planted_phones=4, planted_samples=2_400)
MAX_INTERRUPTIONS: Final = 10
"""Lost executions of one chunk before it is given up, as the app is configured."""


@row(
    "W8",
    title="a chunk that kills its child every time, for the last time that it may",
    recovery=Recovery.HOLDER_DIED,
    load=SOME,
    defects=(no_cap.DEFECT.expecting(Kind.WRONG_ACCOUNTING),),
)
def test_w8_poison(x: Experiment) -> None:
    """Given up at the cap, loudly and with its reason; the rest of its batch is done. Re-driven, it begins anew."""
    parked = x.park_chunk()
    if x.faulted:
        _interrupted_before(x, parked.point, times=MAX_INTERRUPTIONS - 1)
    x.inject(KillChild(parked.replica, pid=parked.pid))
    x.release(parked)
    expect_loud(x, "log:chunk_failed", names=(parked.point.batch_id,))
    expect_executions(x, parked, 2 if x.faulted else 1)
    _see_given_up(x, parked.point, batch_status="COMPLETED")
    expect_alarm(x, "dead_letters")
    if x.faulted:
        redrive(x, kind="chunk", target=f"{parked.point.batch_id}:{parked.point.chunk_index}")
        _see_begun_anew(x, parked.point)


@row(
    "A6",
    title="every chunk of a batch is given up, the phone syncs on, and the batch is re-driven",
    load=SOME,
    defects=(
        failed_batch_completed.DEFECT.expecting(Kind.WRONG_ACCOUNTING),
        failed_stays_failed.DEFECT.expecting(Kind.LOST),
    ),
)
def test_a6_whole_batch_given_up(x: Experiment) -> None:
    """The batch has FAILED, and its anchor moves all the same. Healed and re-driven, it is complete."""
    point, refused = refuse_sample(x, is_whole=True)
    if refused is None:
        return
    _see_given_up(x, point, batch_status="FAILED")
    expect_loud(x, "log:chunk_failed", names=(point.batch_id,))
    expect_alarm(x, "dead_letters")
    moved = x.sql(f"SELECT from_value, to_value FROM healthkit_anchor_move WHERE batch_id = '{point.batch_id}'")
    x.expect(
        len(moved) == 1,
        otherwise=Kind.WRONG_ANCHOR,
        summary=f"a batch that FAILED moved its anchor {len(moved)} times, not once",
        ids={"batch": point.batch_id, "batch_key": point.batch_key},
    )
    x.heal(refused)
    count = redrive(x, kind="batch", target=point.batch_id)
    x.expect(
        count == 1,
        otherwise=Kind.WRONG_ANSWER,
        summary=f"a batch of one given-up chunk was re-driven: {count} put back, expected 1",
        ids={"batch": point.batch_id, "batch_key": point.batch_key},
    )


def _interrupted_before(x: Experiment, point: Point, *, times: int) -> None:
    """Let the chunk have lost its holder so many times already."""
    found = x.sql(
        f"UPDATE healthkit_import_chunk SET interruptions = {times} WHERE batch_id = '{point.batch_id}' "
        f"AND chunk_index = {point.chunk_index} RETURNING interruptions, executions"
    )
    x.witness("a chunk that lost its holders before", found)


def _see_given_up(x: Experiment, point: Point, *, batch_status: str) -> None:
    """The chunk ends FAILED for good and its batch as it must, soon."""
    if not x.faulted:
        return
    batch = f"SELECT status FROM healthkit_import_batch WHERE id = '{point.batch_id}' AND finished_at IS NOT NULL"
    try:
        wait_for(
            lambda: x.sql(batch), awaiting="the batch's end", timeout_s=lambda: given_up_within_s(x), interval_s=0.2
        )
    except WaitTimeout as error:
        x.phases.note(str(error))
    history = claim_history(x.stack.dsn(), batch_id=point.batch_id, chunk_index=point.chunk_index)
    x.witness("the end of the chunk", history)
    letters = x.sql(
        "SELECT d.reason FROM healthkit_dead_letter d JOIN healthkit_import_chunk c ON c.id = d.chunk_id "
        f"WHERE c.batch_id = '{point.batch_id}' AND c.chunk_index = {point.chunk_index}"
    )
    ended = (history["status"], [status for (status,) in x.sql(batch)], len(letters))
    x.expect(
        ended == ("FAILED", [batch_status], 1),
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"the chunk is {ended[0]} after {history['executions']} executions and {history['interruptions']} "
        f"interruptions, with {ended[2]} dead letters, its batch {ended[1]}; expected FAILED, 1 and {batch_status}",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )


def _see_begun_anew(x: Experiment, point: Point) -> None:
    """Re-driven, it may lose as many holders again before it is given up."""
    [(interruptions,)] = x.sql(
        "SELECT interruptions FROM healthkit_import_chunk "
        f"WHERE batch_id = '{point.batch_id}' AND chunk_index = {point.chunk_index}"
    )
    x.expect(
        interruptions < MAX_INTERRUPTIONS,
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"a chunk that was put back still counts {interruptions} holders that it lost before",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )
