"""P: Postgres fails."""

from __future__ import annotations

from http import HTTPStatus

from harness.anomaly import Kind
from harness.demands.asking import expect_asked
from harness.demands.claims import expect_blameless
from harness.demands.demands import (
    await_imports,
    await_state,
    expect_alarm,
    expect_executions,
    expect_loud,
    expect_taken_over,
)
from harness.drivers.protocol import StackSpec
from harness.experiment.experiment import Experiment
from harness.faults.database import LockTable, TerminateSessions
from harness.faults.postgres import FreezePostgres, KillPostgres
from harness.rows.row import Load, row
from harness.times import Recovery
from harness.tripwires.tripwire import Parked
from harness.witness import claim_history
from scenarios.defects import (
    acknowledged_unsaved,
    done_before_written,
    no_database_timeouts,
    outage_fails_chunks,
    retried_is_no_alarm,
    swallowed_database_errors,
)

OUTAGE_S = 2.0
OUTAGES = 50
"""How often a store may have been away in the life of one chunk; the wait after it does not grow any more."""
RECOVERED = "automatic recovery in progress"
"""Postgres' own words for a start after a crash."""
STATEMENT_TIMEOUT_S = 4.0
ANSWER_S = 1.25 * STATEMENT_TIMEOUT_S
"""How long a client waits for an answer: longer than the server's own timeout, so that a server that lives speaks."""
CONNECT_S = 2.0
KEPT_S = 2.0
"""A kept connection is asked first, for at most so long."""
REQUEST_BOUND_S = ANSWER_S + KEPT_S + CONNECT_S
FROZEN_S = 2 * (ANSWER_S + CONNECT_S) + 1.0
LOCK_TIMEOUT_S = 2.0
LOCKED_S = 2 * LOCK_TIMEOUT_S + 1.5
"""A claim is tried twice before a delivery gives up; then some."""
FEW = Load(phones=1, samples=800, planted_phones=1, planted_samples=800)
"""So few that workers get round to each chunk long before it would be overdue merely for waiting its turn."""


@row(
    "P1",
    title="Postgres killed mid-chunk, restarted on what it left",
    recovery=Recovery.STORE_AWAY,
    defects=(done_before_written.DEFECT.expecting(Kind.LOST),),
)
def test_p1_postgres_killed(x: Experiment) -> None:
    """The tripwire goes with it. After crash recovery the chunk is run again, once; that was not the chunk's fault."""
    parked = x.park_chunk()
    killed = x.inject(KillPostgres())
    x.hold(OUTAGE_S)
    x.heal(killed)
    x.release(parked)
    expect_loud(x, "log:database_unavailable", names=(parked.point.batch_id,))
    expect_executions(x, parked, 2 if x.faulted else 1)
    expect_taken_over(x, parked)
    x.later.append(lambda: x.witness("Postgres recovered from its log", _recovery_line(x)))
    x.later.append(lambda: _see_blameless(x, parked))


def _see_blameless(x: Experiment, parked: Parked) -> None:
    """A chunk that counts what the store did as its own fault would be given up after a few such days."""
    history = claim_history(x.stack.dsn(), batch_id=parked.point.batch_id, chunk_index=parked.point.chunk_index)
    blamed = {name: history.get(name) for name in ("interruptions", "data_attempts") if history.get(name) != "0"}
    x.expect(
        not blamed,
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"chunk {parked.point.chunk_index} counts the loss of Postgres against itself: {blamed}",
        ids={"batch": parked.point.batch_id, "chunk": str(parked.point.chunk_index)},
    )


def _recovery_line(x: Experiment) -> str | None:
    return next((line for line in x.stack.logs("postgres") if RECOVERED in line), None)


@row(
    "P3",
    title="pg_terminate_backend on the workers' sessions mid-chunk",
    recovery=Recovery.HOLDER_DIED,
    defects=(swallowed_database_errors.DEFECT.expecting(Kind.LOST),),
)
def test_p3_sessions_terminated(x: Experiment) -> None:
    """The chunk is tried again and done once; losing the database is never the chunk's fault."""
    parked = x.park_chunk()
    x.inject(TerminateSessions("worker"))
    x.release(parked)
    expect_loud(x, "log:database_unavailable", names=(parked.point.batch_id,))
    expect_taken_over(x, parked)
    expect_blameless(x)


@row(
    "P3",
    variant="again",
    title="pg_terminate_backend on the workers' sessions mid-chunk, of a chunk that lost Postgres many times before",
    recovery=Recovery.HOLDER_CUT_OFF,
    defects=(outage_fails_chunks.DEFECT.expecting(Kind.GIVEN_UP),),
)
def test_p3_sessions_terminated_again(x: Experiment) -> None:
    """It is tried again however often that was, after a wait that is no longer than a claim lives."""
    parked = x.park_chunk()
    if x.faulted:
        before = x.sql(
            f"UPDATE healthkit_import_chunk SET infra_attempts = {OUTAGES} WHERE batch_id = '{parked.point.batch_id}' "
            f"AND chunk_index = {parked.point.chunk_index} RETURNING infra_attempts, executions"
        )
        x.witness("a chunk that lost Postgres before", before)
    x.inject(TerminateSessions("worker"))
    x.release(parked)
    expect_loud(x, "log:database_unavailable", names=(parked.point.batch_id,))
    expect_taken_over(x, parked)
    expect_blameless(x)


@row(
    "P4",
    title="Postgres frozen for longer than anybody waits for it, while phones upload",
    recovery=Recovery.STORE_AWAY,
    spec=StackSpec(
        env={
            "STATEMENT_TIMEOUT_S": f"{STATEMENT_TIMEOUT_S:g}",
            "LOCK_TIMEOUT_S": f"{LOCK_TIMEOUT_S:g}",
            "DATABASE_CONNECT_TIMEOUT_S": f"{CONNECT_S:g}",
        }
    ),
    defects=(no_database_timeouts.DEFECT.expecting(Kind.UNBOUNDED),),
)
def test_p4_postgres_frozen(x: Experiment) -> None:
    """Requests are refused within their bound and never half accepted, health names the cause, work goes on."""
    x.request_bound_s = REQUEST_BOUND_S
    x.work()
    await_imports(x)
    frozen = x.inject(FreezePostgres())
    expect_alarm(x, "database_unreachable")
    x.hold(FROZEN_S)
    x.heal(frozen)
    expect_loud(x, "log:database_unavailable")
    expect_blameless(x)
    expect_asked(x, frozen, status=HTTPStatus.SERVICE_UNAVAILABLE)


@row(
    "P6",
    variant="records",
    title="a migration holds the records' table: imports are tried again and again, for longer than *overdue*",
    recovery=Recovery.STORE_AWAY,
    load=FEW,
    spec=StackSpec(env={"LOCK_TIMEOUT_S": f"{LOCK_TIMEOUT_S:g}"}),
    defects=(retried_is_no_alarm.DEFECT.expecting(Kind.SILENT),),
)
def test_p6_records_locked(x: Experiment) -> None:
    """That nothing gets on is told while they are tried again; nothing is FAILED, and all is imported in the end."""
    x.work()
    await_imports(x)
    locked = x.inject(LockTable("healthkit_data_record"))
    if x.faulted:
        expect_alarm(x, "import_overdue", about=_tried_again(x))
    x.heal(locked)
    expect_loud(x, "log:database_unavailable")
    expect_blameless(x)


def _tried_again(x: Experiment) -> str:
    """The batch of a chunk that waits for its next try, made one that has been tried for long: so it waits for long."""
    made = (
        f"UPDATE healthkit_import_chunk SET infra_attempts = {OUTAGES}, "
        f"next_attempt_at = clock_timestamp() + {x.times.claim_timeout_s} * interval '1 second' WHERE id = ("
        "SELECT c.id FROM healthkit_import_chunk c JOIN healthkit_import_batch b ON b.id = c.batch_id "
        "WHERE c.status = 'PENDING' AND c.claim_token IS NULL AND c.infra_attempts > 0 ORDER BY b.moved_at LIMIT 1 "
        "FOR UPDATE OF c SKIP LOCKED) RETURNING batch_id::text"
    )
    [(batch,)] = await_state(x, lambda: x.sql(made), awaiting="an import to be tried again")
    x.witness("an import that waits for its next try", batch)
    return str(batch)


@row(
    "P6",
    title="a migration holds the chunks' table for longer than the lock timeout, while phones upload",
    recovery=Recovery.STORE_AWAY,
    spec=StackSpec(env={"LOCK_TIMEOUT_S": f"{LOCK_TIMEOUT_S:g}"}),
    defects=(acknowledged_unsaved.DEFECT.expecting(Kind.LOST),),
)
def test_p6_table_locked(x: Experiment) -> None:
    """Uploads are refused cleanly or accepted for good, imports wait and go on; nothing FAILED."""
    x.work()
    await_imports(x)
    locked = x.inject(LockTable("healthkit_import_chunk"))
    x.hold(LOCKED_S)
    x.heal(locked)
    expect_loud(x, "log:database_unavailable")
    expect_blameless(x)
    expect_asked(x, locked, "upload_chunk", status=HTTPStatus.SERVICE_UNAVAILABLE)
