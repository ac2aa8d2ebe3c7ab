"""W12: who holds a chunk's claim, when its holder stands still."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import wait_for
from harness.demands import expect_executions, expect_loud
from harness.errors import WaitTimeout
from harness.experiment import Experiment
from harness.faults.child import FreezeChild
from harness.harm import Live
from harness.row import row
from harness.times import Recovery
from harness.tripwire import Parked
from harness.witness import claim_history
from scenarios.defects import no_time_limits


@row(
    "W12",
    title="a pool child that never comes back: stopped mid-chunk, alone",
    recovery=Recovery.HOLDER_DIED,
    defects=(no_time_limits.DEFECT.expecting(Kind.LATE),),
)
def test_w12_child_never_comes_back(x: Experiment) -> None:
    """The hard limit ends it, loudly; the chunk is done again, once, and counts an interruption, not an error."""
    parked = x.park_chunk()
    stopped = x.inject(FreezeChild(parked.replica, pid=parked.pid))
    x.release(parked)
    _expect_done_meanwhile(x, parked, stopped, within_s=x.times.chunk_hard_limit_s + x.quiesce_deadline_s())
    _expect_child_ended(x, stopped, within_s=x.times.chunk_hard_limit_s)
    expect_loud(x, "log:worker_lost", names=(parked.point.batch_id,))
    expect_executions(x, parked, 2 if x.faulted else 1)
    _expect_interruptions(x, parked, 1)


def _expect_done_meanwhile(x: Experiment, parked: Parked, live: Live | None, *, within_s: float) -> None:
    """The chunk is done by somebody else while its first holder still cannot."""
    if live is None:
        return

    def history() -> dict[str, str]:
        return claim_history(x.stack.dsn(), batch_id=parked.point.batch_id, chunk_index=parked.point.chunk_index)

    try:
        wait_for(lambda: history().get("status") == "DONE", awaiting="the chunk done by another", timeout_s=within_s)
    except WaitTimeout as error:
        x.phases.note(str(error))
    found = history()
    x.expect(
        found.get("status") == "DONE",
        otherwise=Kind.LATE,
        summary=f"chunk {parked.point.chunk_index} is {found.get('status')}, held by {found.get('claimed_by')!r} after "
        f"{found.get('executions')} executions: nobody could do it within {within_s:.0f} s of {live.injected.label()}",
        ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
    )
    x.witness("while its first holder stood still", {**found, "first holder": live.fault.look(x.stack)})


def _expect_child_ended(x: Experiment, live: Live | None, *, within_s: float) -> None:
    """Whatever else saved the chunk: a task has a limit, and the child that passed it is gone."""
    if live is None:
        return
    try:
        wait_for(lambda: live.fault.look(x.stack).endswith("is gone"), awaiting="the child's end", timeout_s=within_s)
    except WaitTimeout as error:
        x.phases.note(str(error))
    found = live.fault.look(x.stack)
    x.expect(
        found.endswith("is gone"),
        otherwise=Kind.UNBOUNDED,
        summary=f"{found}, though a chunk's hard limit is {x.times.chunk_hard_limit_s:g} s",
        ids={"service": live.injected.target},
    )


def _expect_interruptions(x: Experiment, parked: Parked, count: int) -> None:
    """In the end the chunk counts so many lost holders, and no error of its data."""
    if not x.faulted:
        return

    def see() -> None:
        point = parked.point
        found = claim_history(x.stack.dsn(), batch_id=point.batch_id, chunk_index=point.chunk_index)
        counted = (found.get("interruptions"), found.get("data_attempts"))
        x.expect(
            counted == (str(count), "0"),
            otherwise=Kind.WRONG_ACCOUNTING,
            summary=f"chunk {point.chunk_index} counts {counted} (interruptions, data errors), expected {count} and 0",
            ids={"batch": point.batch_id, "batch_key": point.batch_key, "chunk": str(point.chunk_index)},
        )

    x.later.append(see)
