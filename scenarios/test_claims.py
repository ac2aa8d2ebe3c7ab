"""W10, W12 and W14: who holds a chunk's claim, when its holder stands still or the chunk is delivered twice."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Any

from harness.anomaly import Kind
from harness.clock import utc_now, wait_for
from harness.demands.claims import expect_freed, lines_about
from harness.demands.demands import expect_executions, expect_loud, expect_taken_over
from harness.errors import Inconclusive, WaitTimeout
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.faults.child import FreezeChild
from harness.faults.network import HarmLink
from harness.faults.process import FreezeReplica
from harness.faults.redelivery import RedeliverMessage
from harness.links.toxics import HalfOpen
from harness.rows.row import row
from harness.times import LAB, Recovery
from harness.tripwires.tripwire import Parked
from harness.witness import claim_history
from scenarios.defects import claim_not_exclusive, no_idle_timeout, no_time_limits

PACE_S = 0.5
"""Between two requests of a phone: every chunk of the parked one's user waits for it, and holds up a child."""
AGE_S = LAB.sweep_interval_s + 0.5
"""Until a claim, first seen parked, is older than one sweep."""
REDELIVERED_S = 2.0
"""Until copies of a message are delivered; and again until they are refused. Both while a tripwire holds."""


@row(
    "W10",
    variant="frozen",
    title="a worker frozen whole with half a chunk written; thawed when another has done the chunk",
    recovery=Recovery.HOLDER_CUT_OFF,
    defects=(no_idle_timeout.DEFECT.expecting(Kind.LATE),),
)
def test_w10_frozen(x: Experiment) -> None:
    """Another worker does the chunk meanwhile; what the zombie then wants to commit is refused."""
    parked = x.park_chunk()
    frozen = x.inject(FreezeReplica(parked.replica))
    x.release(parked)
    _see_open_transaction(x, parked)
    _expect_done_meanwhile(x, parked, frozen, within_s=x.quiesce_deadline_s())
    _wake_child(x, parked)
    x.heal(frozen)
    expect_loud(x, "log:claim_taken_over", names=(parked.point.batch_id,))
    expect_executions(x, parked, 2 if x.faulted else 1)
    expect_freed(x, parked)
    _expect_interruptions(x, parked, 1)


@row(
    "W10",
    variant="cut",
    title="half-open: the workers' connections to Postgres go silent with half a chunk written, new ones pass",
    recovery=Recovery.HOLDER_CUT_OFF,
    defects=(no_idle_timeout.DEFECT.expecting(Kind.LATE),),
)
def test_w10_cut_off(x: Experiment) -> None:
    """The chunk is done again although neither its holder nor Postgres was told that they lost each other."""
    parked = x.park_chunk()
    cut = x.inject(HarmLink("worker", "postgres", HalfOpen()))
    x.release(parked)
    _see_open_transaction(x, parked)
    _expect_done_meanwhile(x, parked, cut, within_s=x.quiesce_deadline_s())
    x.heal(cut)
    expect_loud(x, "log:chunk_released", "log:claim_taken_over", names=(parked.point.batch_id,))
    expect_taken_over(x, parked)


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


@row(
    "W14",
    title="one message delivered to two workers at once, mid-chunk",
    hold_s=AGE_S + 2 * REDELIVERED_S,
    defects=(claim_not_exclusive.DEFECT.expecting(Kind.WRONG_ACCOUNTING),),
)
def test_w14_delivered_twice_at_once(x: Experiment) -> None:
    """The chunk runs once, where it is; every second delivery is a counted no-op."""
    x.slow_down(PACE_S)
    parked = x.park_chunk()
    expect_executions(x, parked, 1)
    _expect_interruptions(x, parked, 0)
    _await_age(x, parked)
    refused = _refusals(x)
    again = RedeliverMessage(parked.point.batch_id, parked.point.chunk_index, bite_timeout_s=REDELIVERED_S)
    if x.inject(again) is not None:
        _see_refused(x, parked, again, before=refused)
    x.release(parked)


def _await_age(x: Experiment, parked: Parked) -> None:
    """Wait until the claim is older than one sweep, in Postgres's own time.

    Younger ones are shielded by what lives no longer than that: a lock in Redis, and that nobody asks after them.
    """
    if not x.faulted:
        return
    sql = (
        f"SELECT 1 FROM healthkit_import_chunk WHERE batch_id = '{parked.point.batch_id}' "
        f"AND chunk_index = {parked.point.chunk_index} "
        f"AND claimed_at < clock_timestamp() - {x.times.sweep_interval_s} * interval '1 second'"
    )
    try:
        wait_for(lambda: x.sql(sql), awaiting="the claim older than one sweep", timeout_s=AGE_S)
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error


def _refusals(x: Experiment) -> int:
    """How many deliveries the app has counted as no-ops."""
    found = x.sql("SELECT coalesce(sum(value), 0) FROM healthkit_counter WHERE name = 'claims_refused'")
    return int(found[0][0])


def _see_refused(x: Experiment, parked: Parked, again: RedeliverMessage, *, before: int) -> None:
    """While the chunk is in work every copy is delivered, and acked as a no-op that is counted and logged.

    That they are acked while the first delivery is not, Redis says; which worker refused them, only its log does.
    Raises: Inconclusive when some were not refused in time, though nobody has claimed the chunk once more.
    """
    others = [each for each in x.stack.replicas("worker") if each != parked.replica]
    point = parked.point

    def lines(*events: str, of: Iterable[str]) -> list[dict[str, Any]]:
        return lines_about(x, point, *events, replicas=of)

    def refused() -> tuple[int, int]:
        return _refusals(x) - before, len(lines("claim_refused", of=(parked.replica, *others)))

    seen = ""

    def is_over() -> bool:
        nonlocal seen
        seen = again.look(x.stack)
        return again.are_all_acked(seen) and min(refused()) >= again.copies

    try:
        wait_for(is_over, awaiting=f"{again.copies} refused deliveries", timeout_s=REDELIVERED_S)
    except WaitTimeout as error:
        if not again.are_all_acked(seen) and _history(x, parked).get("executions") == "1":
            raise Inconclusive(f"{error}; {seen}") from error
    counted, logged = refused()
    x.see_parked(parked)
    is_seen = again.are_all_acked(seen)
    x.witness("every copy delivered and acked while the first delivery was in work", seen if is_seen else None)
    x.witness("delivered to another worker while in work", lines("claim_refused", "chunk_started", of=others)[:1])
    x.expect(
        counted >= again.copies and logged >= again.copies,
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"{again.copies} more deliveries of a chunk in work: {counted} counted and {logged} logged as no-ops",
        ids={"batch": point.batch_id, "chunk": str(point.chunk_index)},
    )


def _see_open_transaction(x: Experiment, parked: Parked) -> None:
    """Postgres has written what the holder told it to, and waits for it to go on."""
    if not x.faulted:
        return
    sql = (
        "SELECT application_name, state, backend_xid::text FROM pg_stat_activity "
        f"WHERE pid = {parked.backend_pid} AND state = 'idle in transaction' AND backend_xid IS NOT NULL"
    )
    try:
        found = wait_for(
            lambda: x.sql(sql), awaiting="Postgres to wait for the holder", timeout_s=x.times.statement_timeout_s
        )
    except WaitTimeout as error:
        raise Inconclusive(str(error)) from error
    x.witness("Postgres waits for the holder, inside its transaction", found)


def _wake_child(x: Experiment, parked: Parked) -> None:
    """Let the zombie child go on before its main process, which would end it for having passed its time limit.

    What it held in Postgres is gone, so it goes on by connecting anew; what the chunk's rows say stays as it was.
    """
    if not x.faulted:
        return
    before = _history(x, parked)
    woken_at = utc_now()
    x.stack.signal_process(parked.replica, parked.pid, signal.SIGCONT)
    sql = (
        "SELECT application_name, pid, backend_start::text, query FROM pg_stat_activity WHERE state = 'idle' "
        f"AND application_name = 'worker:{parked.replica}:{parked.pid}' AND backend_start > '{woken_at.isoformat()}'"
    )
    try:
        found = wait_for(
            lambda: x.sql(sql), awaiting="the zombie in Postgres again", timeout_s=x.times.chunk_hard_limit_s
        )
    except WaitTimeout as error:
        x.phases.note(str(error))
        found = []
    after = _history(x, parked)
    x.witness("the zombie went on: it connected anew", found)
    x.expect(
        after == before,
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"{parked.replica} changed chunk {parked.point.chunk_index} after it had lost its claim: {before}, "
        f"then {after}",
        ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
    )


def _history(x: Experiment, parked: Parked) -> dict[str, str]:
    return claim_history(x.stack.dsn(), batch_id=parked.point.batch_id, chunk_index=parked.point.chunk_index)


def _expect_done_meanwhile(x: Experiment, parked: Parked, live: Live | None, *, within_s: float) -> None:
    """The chunk is done by somebody else while its first holder still cannot."""
    if live is None:
        return
    try:
        wait_for(
            lambda: _history(x, parked).get("status") == "DONE",
            awaiting="the chunk done by another",
            timeout_s=within_s,
        )
    except WaitTimeout as error:
        x.phases.note(str(error))
    found = _history(x, parked)
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
        point, found = parked.point, _history(x, parked)
        counted = (found.get("interruptions"), found.get("data_attempts"))
        x.expect(
            counted == (str(count), "0"),
            otherwise=Kind.WRONG_ACCOUNTING,
            summary=f"chunk {point.chunk_index} counts {counted} (interruptions, data errors), expected {count} and 0",
            ids={"batch": point.batch_id, "batch_key": point.batch_key, "chunk": str(point.chunk_index)},
        )

    x.later.append(see)
