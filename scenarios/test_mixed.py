"""X: faults that overlap."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands.demands import await_imports
from harness.experiment.experiment import Experiment
from harness.faults.broker import FlushRedis, FreezeRedis, KillRedis
from harness.faults.fault import Fault, Severing
from harness.faults.postgres import KillPostgres
from harness.faults.process import FreezeReplica, KillReplica
from harness.rows.row import row
from harness.times import Recovery
from harness.tripwires.tripwire import Parked
from scenarios.defects import no_sweeper

HOLD_S = (0.2, 1.5)
"""After each fault of a round: at least and at most."""
PARKED_S = 5.0
"""Until a store was harmed, that has lasted, and the worker is gone; all the while a tripwire holds."""


@row(
    "X1",
    title="two rounds of overlapping faults, drawn from the seed: a replica killed or frozen while a store is harmed",
    recovery=Recovery.STORE_AWAY,
    hold_s=PARKED_S,
    defects=(no_sweeper.DEFECT.expecting(Kind.NOT_RECOVERED),),
)
def test_x1_overlapping_faults(x: Experiment) -> None:
    """Whatever meets whatever, all invariants hold. In the first round a worker dies with a chunk half done.

    Half of the phones come with the second round, so that it too finds imports in flight.
    """
    late = [plan.device for plan in x.fleet.plans[len(x.fleet.plans) // 2 :]]
    x.delay(late)
    parked = x.park_chunk()
    first, second = x.rng.sample(_of_stores(), 2)
    _overlap(x, KillReplica(parked.replica), first, parked=parked)
    x.start_late()
    await_imports(x, of=late)
    _overlap(x, x.rng.choice(_of_replicas(x)), second)


def _overlap(x: Experiment, of_replica: Fault, of_store: Fault, *, parked: Parked | None = None) -> None:
    """Both, in either order. The store is healed first: a replica that is started anew may be whole only with it."""
    order = x.rng.sample((of_replica, of_store), 2)
    if parked is not None and isinstance(of_store, Severing):
        order = [of_replica, of_store]  # the other way round nothing would be half done any more
    lives = {}
    for fault in order:
        if parked is not None and fault is of_replica:
            x.see_parked(parked)
        lives[fault.target] = x.inject(fault)
        if parked is not None and fault is of_replica:
            x.release(parked)
        x.hold(x.rng.uniform(*HOLD_S))
    x.heal(lives[of_store.target])
    x.heal(lives[of_replica.target])


def _of_replicas(x: Experiment) -> list[Fault]:
    def any_of(service: str) -> str:
        return x.rng.choice(x.stack.replicas(service))

    return [
        KillReplica(any_of("worker")),
        FreezeReplica(any_of("worker")),
        KillReplica(any_of("api")),
        FreezeReplica(any_of("api")),
        KillReplica(any_of("beat")),
    ]


def _of_stores() -> list[Fault]:
    return [KillRedis(), KillRedis(fresh=True), FreezeRedis(), FlushRedis(), KillPostgres()]
