"""P: Postgres fails."""

from __future__ import annotations

from http import HTTPStatus

from harness.anomaly import Kind
from harness.demands import await_imports, expect_loud, expect_taken_over
from harness.drivers.protocol import StackSpec
from harness.experiment import Experiment
from harness.faults.database import LockTable, TerminateSessions
from harness.ledger import noted_ops
from harness.row import row
from harness.times import Recovery
from scenarios.defects import acknowledged_unsaved, swallowed_database_errors

LOCK_TIMEOUT_S = 2.0
LOCKED_S = 2 * LOCK_TIMEOUT_S + 1.5
"""A claim is tried twice before a delivery gives up; then some."""


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
    if x.faulted:
        x.later.append(lambda: _see_refused_uploads(x))


def _see_refused_uploads(x: Experiment) -> None:
    """Somebody did upload while the table was locked, and was told so; else the row says nothing about uploads."""
    uploads = [op for op in noted_ops(x.ledger.directory) if op["kind"] == "upload_chunk"]
    refused = [
        f"{op['op']}, {attempt['replica']}"
        for op in uploads
        for attempt in op["attempts"]
        if attempt["status"] == HTTPStatus.SERVICE_UNAVAILABLE
    ]
    x.witness("uploads refused with 503", refused[:5])
