"""B: the broker fails."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands.asking import ask_for_codes, expect_asked
from harness.demands.demands import (
    await_imports,
    await_state,
    await_waiting_messages,
    expect_alarm,
    expect_healthy,
    expect_loud,
)
from harness.drivers.protocol import StackSpec
from harness.experiment.experiment import Experiment
from harness.experiment.harm import Live
from harness.faults.broker import FillRedis, FlushRedis, FreezeRedis, KillRedis
from harness.faults.network import HarmLink
from harness.faults.process import FreezeReplica, KillReplica
from harness.faults.slow_link import SlowLink
from harness.links.toxics import HalfOpen, Latency, Reset, Slicer
from harness.rows.row import Tier, row
from harness.times import LAB, Recovery
from harness.tripwires.tripwire import Parked
from scenarios.defects import (
    deaf_worker,
    gives_up_at_start,
    impatient_no_sweeper,
    no_sweeper,
    no_timeouts,
    no_timeouts_no_sweeper,
    publish_errors_ignored,
)

OUTAGE_S = 2.0
REQUEST_BOUND_S = LAB.publish_bound_s + LAB.broker_connect_timeout_s + 2 * LAB.broker_read_timeout_s
FREEZE_S = REQUEST_BOUND_S + 3.0
"""Longer than any request may take, so that one that waits for Redis is seen to."""
PACE_S = 0.2
"""Between two requests of a phone, so that some still upload when Redis is harmed."""
SILENCE_S = 2 * LAB.broker_read_timeout_s
SLOWNESS = (Latency(0.3, 0.1), Slicer(512))
SLOW_S = 15.0
SLOWING_S = 5.0
"""Until some round trips have shown the slowness."""
FULL_S = 5.0
OLD_DAYS = 30
"""Imports are as good as new when they are old: a phone may have been offline half-way through its upload."""
GATHERING_S = 12.0
"""Until workers are frozen, messages wait and Redis is killed; all the while a tripwire holds."""
PATIENT = {
    "LOCK_TIMEOUT_S": "14",
    "STATEMENT_TIMEOUT_S": "15",
    "IDLE_IN_TRANSACTION_TIMEOUT_S": "16",
    "CLAIM_TIMEOUT_S": "18",
}
RESETS = 5
WAITING = 3
"""Messages that must wait in Redis before it is lost; under light load an empty queue proves nothing."""


@row(
    "B1",
    title="Redis killed, restarted with its append-only file",
    tier=Tier.FAST,
    recovery=Recovery.STORE_AWAY,
    hold_s=OUTAGE_S + 1.0,
    defects=(deaf_worker.DEFECT.expecting(Kind.LATE),),
)
def test_b1_redis_killed(x: Experiment) -> None:
    """Workers consume again without a restart; nothing is lost."""
    parked = x.park_chunk()
    killed = x.inject(KillRedis())
    x.hold(OUTAGE_S)
    x.release(parked)
    x.heal(killed)
    expect_loud(x, "log:broker_lost", names=x.stack.replicas("worker"))


@row(
    "B2",
    title="Redis killed while imports wait in it, comes back empty",
    tier=Tier.CORE,
    recovery=Recovery.STORE_AWAY,
    hold_s=GATHERING_S,
    spec=StackSpec(env=PATIENT),
    defects=(no_sweeper.DEFECT.expecting(Kind.LOST),),
)
def test_b2_redis_lost(x: Experiment) -> None:
    """Everything that waited is dispatched again, though Redis knows of none of it and it was begun long ago."""
    parked, frozen = _strand(x)
    x.witness("imports that were begun long ago", _make_old(x))
    lost = x.inject(KillRedis(fresh=True))
    x.release(parked)
    x.heal(lost)
    for each in frozen:
        x.heal(each)


def _strand(x: Experiment) -> tuple[Parked, list[Live | None]]:
    """Park a chunk and freeze the workers, until imports wait in Redis that nobody takes."""
    parked = x.park_chunk()
    frozen = [x.inject(FreezeReplica(each)) for each in x.stack.replicas("worker")]
    x.witness("imports waiting in Redis, which is about to lose them", await_waiting_messages(x, at_least=WAITING))
    return parked, frozen


def _make_old(x: Experiment) -> int:
    """Let the imports that are under way have begun `OLD_DAYS` ago; how many there are. Not in a run without faults.

    They stay so: what is made young again before the rows are read might be found by a net that misses old ones.
    """
    if not x.faulted:
        return 0
    # Workers are frozen in the middle of whatever they did: what they hold locked is left as it is.
    aged, _ = (
        x.sql(
            f"UPDATE healthkit_import_{table} SET "
            + ", ".join(f"{each} = {each} - interval '{OLD_DAYS} days'" for each in stamps)
            + f" WHERE id IN (SELECT id FROM healthkit_import_{table} WHERE status = '{status}' FOR UPDATE SKIP LOCKED)"
            " RETURNING id"
        )
        for table, status, stamps in (
            ("batch", "PROCESSING", ("created_at", "moved_at", "dispatched_at", "next_dispatch_at")),
            ("chunk", "PENDING", ("created_at", "claimed_at", "dispatched_at", "next_dispatch_at")),
        )
    )
    return len(aged)


@row(
    "B3",
    title="Redis frozen for longer than any request may take, while phones upload and ask for codes",
    tier=Tier.CORE,
    recovery=Recovery.STORE_AWAY,
    defects=(no_timeouts.DEFECT.expecting(Kind.UNBOUNDED),),
)
def test_b3_redis_frozen(x: Experiment) -> None:
    """Requests stay bounded, codes too, and health says what is away; workers resume, missed ticks are made up."""
    x.request_bound_s = REQUEST_BOUND_S
    x.slow_down(PACE_S)
    parked = x.park_chunk()
    frozen = x.inject(FreezeRedis())
    x.release(parked)
    expect_alarm(x, "broker_unreachable")
    if x.faulted:
        ask_for_codes(x)
    x.hold(FREEZE_S)
    x.heal(frozen)
    expect_loud(x, "log:broker_lost", "log:publish_failed", "health:broker_unreachable")
    expect_asked(x, frozen, "upload_chunk", "request_code", "verify_code")


@row(
    "B4",
    title="half-open: the workers' connections to Redis go silent for ever, new ones pass",
    tier=Tier.CORE,
    recovery=Recovery.STORE_AWAY,
    defects=(no_timeouts_no_sweeper.DEFECT.expecting(Kind.LATE),),
)
def test_b4_half_open(x: Experiment) -> None:
    """The workers notice, connect anew and consume; what was in flight is not lost."""
    parked = x.park_chunk()
    silent = x.inject(HarmLink("worker", "redis", HalfOpen()))
    x.release(parked)
    x.hold(SILENCE_S)
    x.heal(silent)
    expect_loud(x, "log:broker_lost", names=x.stack.replicas("worker"))


@row(
    "B5",
    title="the workers' connections to Redis are reset again and again",
    recovery=Recovery.STORE_AWAY,
    defects=(deaf_worker.DEFECT.expecting(Kind.LATE),),
)
def test_b5_reset_again_and_again(x: Experiment) -> None:
    """No worker ends for it; each connects anew and consumes."""
    x.slow_down(PACE_S)
    x.work()
    await_imports(x)
    link = x.stack.link("worker", "redis")
    for _ in range(RESETS):
        await_state(x, lambda: link.traffic().open, awaiting="workers connected to Redis")
        x.heal(x.inject(HarmLink("worker", "redis", Reset())))
    for name in x.stack.replicas("worker"):
        expect_loud(x, "log:broker_lost", names=(name,))


@row(
    "B6",
    title="300 ms ± 100 ms and sliced packets between the API, the workers and Redis",
    recovery=Recovery.STORE_AWAY,
    hold_s=SLOWING_S,
    defects=(impatient_no_sweeper.DEFECT.expecting(Kind.LOST),),
)
def test_b6_slow_redis(x: Experiment) -> None:
    """Slower, never wrong: what publishing does not manage within its bound is made up for."""
    x.slow_down(PACE_S)
    parked = x.park_chunk()
    x.inject(SlowLink("worker", SLOWNESS, least_s=SLOWNESS[0].latency_s))
    x.release(parked)
    slow = x.inject(SlowLink("api", SLOWNESS, least_s=SLOWNESS[0].latency_s))
    x.hold(SLOW_S)
    x.heal_all()
    expect_asked(x, slow, "upload_chunk")


@row(
    "B7",
    title="FLUSHALL while imports wait in Redis, as somebody clearing the cache",
    recovery=Recovery.STORE_AWAY,
    hold_s=GATHERING_S,
    spec=StackSpec(env=PATIENT),
    defects=(no_sweeper.DEFECT.expecting(Kind.LOST),),
)
def test_b7_redis_flushed(x: Experiment) -> None:
    """Everything that waited is dispatched again, over connections that nobody has told that their queues are gone."""
    x.slow_down(PACE_S)
    parked, frozen = _strand(x)
    flushed = x.inject(FlushRedis())
    x.release(parked)
    for each in frozen:
        x.heal(each)
    expect_asked(x, flushed, "upload_chunk")


@row(
    "B8",
    title="Redis' memory is full under noeviction, while phones upload",
    recovery=Recovery.STORE_AWAY,
    defects=(publish_errors_ignored.DEFECT.expecting(Kind.LOST),),
)
def test_b8_redis_full(x: Experiment) -> None:
    """Uploads are accepted though no message can be sent; it is loud; all is dispatched once there is room again."""
    x.slow_down(PACE_S)
    parked = x.park_chunk()
    full = x.inject(FillRedis())
    x.release(parked)
    expect_alarm(x, "import_overdue", "queue_without_consumer")
    x.hold(FULL_S)
    x.witness("uploads completed while Redis was full", _completed_since(x))
    x.heal(full)
    expect_loud(x, "log:publish_failed", names=("maxmemory",))
    expect_loud(x, "metric:app_publish_failures_total")


@row(
    "B9",
    title="Redis is away when API, workers and beat start",
    recovery=Recovery.STORE_AWAY,
    defects=(gives_up_at_start.DEFECT.expecting(Kind.CRASHED),),
)
def test_b9_redis_absent_at_start(x: Experiment) -> None:
    """All wait for it and are healthy meanwhile; each worker says so, the API too; they work when Redis appears."""
    x.work()
    await_imports(x)
    services = [name for service in ("worker", "beat", "api") for name in x.stack.replicas(service)]
    killed = [x.inject(KillReplica(name)) for name in services]
    away = x.inject(KillRedis())
    if x.faulted:
        for name in services:
            x.stack.start_replica(name, wait=False)
        for name in services:
            expect_healthy(x, name, after="its start without Redis")
    expect_alarm(x, "broker_unreachable")
    for name in x.stack.replicas("worker"):
        expect_loud(x, "log:broker_lost", names=(name,))
    x.heal(away)
    for name in services:
        expect_healthy(x, name, after="Redis appeared")
    for each in killed:
        x.heal(each)


def _completed_since(x: Experiment) -> int:
    """How many imports were uploaded to their end, and so ought to be dispatched, since the fault; by their rows."""
    since = x.injected_at()
    if since is None:
        return 0
    ((count,),) = x.sql(
        f"SELECT count(*) FROM healthkit_import_batch WHERE uploaded_count = chunk_count AND dispatched_at > '{since}'"
    )
    return int(count)
