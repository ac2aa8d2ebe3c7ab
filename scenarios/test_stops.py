"""W3: a worker is told to stop, and its chunk outlasts the soft window."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands.claims import expect_freed, expect_unacked, lines_about
from harness.demands.demands import expect_executions
from harness.drivers.protocol import StackSpec
from harness.experiment.experiment import Experiment
from harness.faults.process import StopReplica
from harness.rows.row import row
from harness.times import LAB, Recovery
from harness.tripwires.tripwire import Parked
from harness.witness import claim_history
from scenarios.defects import acked_on_delivery, stop_is_data_error

STOP_S = 4 * LAB.stop_timeout_s
"""So long that a crowded machine has ended the worker before."""
HOLD_S = LAB.soft_shutdown_s + 2.0
SWEEP_S = 2 * HOLD_S
"""A claim is looked after when it is older than one sweep: its holder must have had the time to give it back."""


@row(
    "W3",
    title="SIGTERM mid-chunk; the chunk outlasts the soft window",
    recovery=Recovery.HOLDER_DIED,
    hold_s=HOLD_S,
    spec=StackSpec(env={"STOP_TIMEOUT_S": f"{STOP_S:g}", "SWEEP_INTERVAL_S": f"{SWEEP_S:g}"}, stop_timeout_s=STOP_S),
    defects=(
        stop_is_data_error.DEFECT.expecting(Kind.WRONG_ACCOUNTING),
        acked_on_delivery.DEFECT.expecting(Kind.LOST),
    ),
)
def test_w3_chunk_outlasts_soft_window(x: Experiment) -> None:
    """It is given back by who was told to stop, at once and as nobody's fault, and done by another."""
    parked = x.park_chunk()
    expect_unacked(x, parked)
    stopping = x.inject(StopReplica(parked.replica, timeout_s=STOP_S), wait=False)
    x.await_bite(stopping)
    x.release(parked)
    expect_executions(x, parked, 2 if x.faulted else 1)
    expect_freed(x, parked)
    if x.faulted:
        end = x.stack.exit_of(parked.replica)
        x.witness("the worker ended by itself", end if end is not None and not end.killed else None)
        x.later.append(lambda: _see_given_back(x, parked))


def _see_given_back(x: Experiment, parked: Parked) -> None:
    """By the worker itself, and counted neither as a lost holder nor as an error of the data."""
    point = parked.point
    lines = lines_about(x, point, "chunk_released", replicas=(parked.replica,))
    found = claim_history(x.stack.dsn(), batch_id=point.batch_id, chunk_index=point.chunk_index)
    counted = (found.get("interruptions"), found.get("data_attempts"))
    x.expect(
        bool(lines) and counted == ("0", "0"),
        otherwise=Kind.WRONG_ACCOUNTING,
        summary=f"chunk {point.chunk_index} was given back {len(lines)} times by {parked.replica}, which was told to "
        f"stop, and counts {counted} (interruptions, data errors); expected once, 0 and 0",
        ids={"batch": point.batch_id, "batch_key": point.batch_key, "chunk": str(point.chunk_index)},
    )
