"""W: workers die."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands.claims import expect_backend_gone
from harness.demands.demands import (
    await_imports,
    expect_executions,
    expect_loud,
    expect_start_line,
    expect_taken_over,
)
from harness.drivers.protocol import Scope, StackSpec
from harness.experiment.experiment import Experiment
from harness.faults.handover import LosePoppedMessage
from harness.faults.memory import RunOutOfMemory
from harness.faults.process import KillChild, KillReplica, StopReplica
from harness.rows.row import Need, Tier, row
from harness.times import LAB, Recovery
from scenarios.defects import early_ack, ends_with_child, no_client_check, no_requeue, no_sweeper

NOTICED_S = LAB.client_check_interval_s + 1.5
"""Postgres looks at its clients so often; some more for a machine that is slow."""
MOST_NOTICED_S = LAB.lock_timeout_s - 2.5
"""At the latest: what waits for a lock for so long is ended by the lock timeout, and that must not pass for noticed."""
WARM = {"worker": {"REMAP_SIGTERM": None}}
SHORT_STOP_S = 3.5
"""Above the soft window with its margin, and well below the lock timeout that a parked chunk has."""
LONG_STOP_S = 4 * LAB.stop_timeout_s
"""So long that a crowded machine has ended a worker before it; what is demanded is the lab's own stop timeout."""
LONG_STOP = {"STOP_TIMEOUT_S": f"{LONG_STOP_S:g}"}


@row(
    "W1",
    variant="soft",
    title="SIGTERM mid-chunk; the chunk ends within the soft window",
    tier=Tier.FAST,
    hold_s=LAB.soft_shutdown_s / 2,
    spec=StackSpec(env=LONG_STOP, stop_timeout_s=LONG_STOP_S),
    defects=(early_ack.DEFECT.expecting(Kind.LOST),),
)
@row(
    "W1",
    variant="warm",
    title="SIGTERM mid-chunk under warm shutdown; the chunk ends before the stop timeout",
    tier=Tier.CORE,
    hold_s=LAB.soft_shutdown_s / 2,
    spec=StackSpec(service_env=WARM, env=LONG_STOP, stop_timeout_s=LONG_STOP_S),
    defects=(early_ack.DEFECT.expecting(Kind.LOST),),
)
def test_w1_stopped_chunk_ends_in_time(x: Experiment) -> None:
    """The chunk finishes once, where it is, and the worker is gone well inside its stop timeout."""
    parked = x.park_chunk()
    stopping = x.inject(StopReplica(parked.replica, timeout_s=x.stack.spec.stop_timeout_s), wait=False)
    x.hold(x.row.hold_s)
    x.see_parked(parked)
    x.release(parked)
    x.await_bite(stopping)
    _expect_ended_in_time(x, parked.replica)
    expect_executions(x, parked, 1)


def _expect_ended_in_time(x: Experiment, replica: str) -> None:
    """Told to stop, it has ended by itself, well inside the lab's stop timeout."""
    end = x.stack.exit_of(replica) if x.faulted else None
    x.witness("the worker ended", end)
    if end is None:
        return
    bound_s = LAB.stop_timeout_s * x.crowding()
    x.expect(
        not end.killed and end.took_s < bound_s,
        otherwise=Kind.UNBOUNDED,
        summary=f"{replica} took {end.took_s:.1f} s to stop (exit {end.code}); the bound is {bound_s:.1f} s",
        ids={"service": replica},
    )


def _noticed_within_s(x: Experiment) -> float:
    """How long Postgres may take to see that a holder has gone."""
    return min(NOTICED_S * x.crowding(), MOST_NOTICED_S)


@row(
    "W2",
    title="SIGTERM mid-chunk under warm shutdown; the chunk outlasts the stop timeout, SIGKILL follows",
    tier=Tier.CORE,
    recovery=Recovery.HOLDER_DIED,
    hold_s=SHORT_STOP_S + 0.5,
    spec=StackSpec(service_env=WARM, env={"STOP_TIMEOUT_S": f"{SHORT_STOP_S:g}"}, stop_timeout_s=SHORT_STOP_S),
    defects=(no_sweeper.DEFECT.expecting(Kind.LATE),),
)
def test_w2_stopped_chunk_is_killed(x: Experiment) -> None:
    """The chunk is done again, once, within a sweep of the kill."""
    parked = x.park_chunk()
    stopping = x.inject(StopReplica(parked.replica, timeout_s=SHORT_STOP_S), wait=False)
    x.await_bite(stopping)
    end = x.stack.exit_of(parked.replica) if x.faulted else None
    is_killed = end is not None and end.killed and end.code == 137 and end.took_s >= SHORT_STOP_S
    x.witness("ended by SIGKILL after the stop timeout", end if is_killed else None)
    x.release(parked)
    expect_taken_over(x, parked)


@row(
    "W4",
    title="SIGTERM mid-chunk under warm shutdown to every process of the worker, as systemd stops a service",
    recovery=Recovery.HOLDER_DIED,
    hold_s=NOTICED_S,
    spec=StackSpec(service_env=WARM, env=LONG_STOP, stop_timeout_s=LONG_STOP_S),
    defects=(early_ack.DEFECT.expecting(Kind.LOST),),
)
def test_w4_whole_group_stopped(x: Experiment) -> None:
    """The pool child leaves in mid-chunk instead of ending it; the chunk is done again, once, and the worker is gone.

    Where SIGTERM is remapped children do not hear it: that is W1 and W3.
    """
    parked = x.park_chunk()
    stopping = x.inject(
        StopReplica(parked.replica, timeout_s=x.stack.spec.stop_timeout_s, scope=Scope.GROUP), wait=False
    )
    expect_backend_gone(x, parked, within_s=_noticed_within_s(x))
    x.release(parked)
    x.await_bite(stopping)
    _expect_ended_in_time(x, parked.replica)
    expect_taken_over(x, parked)


@row(
    "W5",
    title="SIGKILL of one pool child mid-chunk, as the OOM killer does",
    tier=Tier.FAST,
    recovery=Recovery.HOLDER_DIED,
    defects=(no_requeue.DEFECT.expecting(Kind.LOST), ends_with_child.DEFECT.expecting(Kind.CRASHED)),
)
def test_w5_pool_child_killed(x: Experiment) -> None:
    """The chunk is done again within seconds, the loss of the child is loud, and the worker outlives it."""
    parked = x.park_chunk()
    x.inject(KillChild(parked.replica, pid=parked.pid))
    x.release(parked)
    expect_loud(x, "log:worker_lost", names=(parked.replica, parked.point.batch_id))
    expect_taken_over(x, parked)


@row(
    "W6",
    title="SIGKILL of the whole worker mid-chunk",
    tier=Tier.FAST,
    recovery=Recovery.HOLDER_DIED,
    hold_s=NOTICED_S,
    defects=(no_sweeper.DEFECT.expecting(Kind.LATE), no_client_check.DEFECT.expecting(Kind.LATE)),
)
def test_w6_worker_killed(x: Experiment) -> None:
    """Done within a sweep, by whichever worker, although the message itself would come back only much later.

    Postgres ends the backend of the dead although its statement still waits, and would for as long as others let it.
    """
    parked = x.park_chunk()
    x.inject(KillReplica(parked.replica))
    expect_backend_gone(x, parked, within_s=_noticed_within_s(x))
    x.release(parked)
    expect_start_line(x, parked)
    expect_taken_over(x, parked)


@row(
    "W7",
    title="a message popped by a worker that is killed before it notes it as unacked",
    tier=Tier.CORE,
    recovery=Recovery.HOLDER_DIED,
    defects=(no_sweeper.DEFECT.expecting(Kind.LOST),),
)
def test_w7_popped_and_noted_nowhere(x: Experiment) -> None:
    """The chunk still gets done, although no queue, no worker and no unacked entry knows of it."""
    x.work()
    await_imports(x)
    *others, victim = x.stack.replicas("worker")
    x.inject(LosePoppedMessage(victim, workers=others, beats=x.stack.replicas("beat")))
    x.heal_all()
    x.await_uploads()


@row(
    "W19",
    variant="child",
    title="the container's memory limit: the kernel's OOM killer ends one pool child mid-chunk",
    needs=(Need.CONTAINERS,),
    recovery=Recovery.HOLDER_DIED,
    defects=(no_requeue.DEFECT.expecting(Kind.LOST), ends_with_child.DEFECT.expecting(Kind.CRASHED)),
)
def test_w19_child_out_of_memory(x: Experiment) -> None:
    """As W5, by the kernel's own hand: the chunk is done again within seconds, and the loss of the child is loud."""
    parked = x.park_chunk()
    x.inject(RunOutOfMemory(parked.replica, pid=parked.pid))
    x.release(parked)
    expect_loud(x, "log:worker_lost", names=(parked.replica, parked.point.batch_id))
    expect_taken_over(x, parked)


@row(
    "W19",
    variant="main",
    title="the container's memory limit: the kernel's OOM killer ends the worker's main process mid-chunk",
    needs=(Need.CONTAINERS,),
    recovery=Recovery.HOLDER_DIED,
    defects=(no_sweeper.DEFECT.expecting(Kind.LATE),),
)
def test_w19_main_out_of_memory(x: Experiment) -> None:
    """As W6, by the kernel's own hand: the whole container goes, and the chunk is done within a sweep."""
    parked = x.park_chunk()
    x.inject(RunOutOfMemory(parked.replica))
    x.release(parked)
    expect_start_line(x, parked)
    expect_taken_over(x, parked)
