"""B: the broker fails."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.demands import await_imports, await_waiting_messages, expect_alarm, expect_loud
from harness.experiment import Experiment
from harness.faults.broker import FillRedis, FreezeRedis, KillRedis
from harness.faults.network import HarmLink
from harness.faults.process import FreezeReplica
from harness.faults.slow_link import SlowLink
from harness.links.toxics import HalfOpen, Latency, Slicer
from harness.row import Load, Tier, row
from harness.times import LAB, Recovery
from scenarios.defects import (
    deaf_worker,
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
SILENCE_S = 2 * LAB.broker_read_timeout_s
SLOWNESS = (Latency(0.3, 0.1), Slicer(512))
SLOW_S = 15.0
FULL_S = 5.0
OLD_DAYS = 30
"""Imports are as good as new when they are old: a phone may have been offline half-way through its upload."""
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
    defects=(no_sweeper.DEFECT.expecting(Kind.LOST),),
)
def test_b2_redis_lost(x: Experiment) -> None:
    """Everything that waited is dispatched again, though Redis knows of none of it and it was begun long ago."""
    parked = x.park_chunk()
    frozen = [x.inject(FreezeReplica(each)) for each in x.stack.replicas("worker")]
    waiting = await_waiting_messages(x, at_least=WAITING)
    x.witness("imports waiting in Redis when it was lost", waiting)
    x.witness("imports that were begun long ago", _make_old(x))
    lost = x.inject(KillRedis(fresh=True))
    x.heal(lost)
    x.release(parked)
    for each in frozen:
        x.heal(each)


def _make_old(x: Experiment) -> int:
    """Let the imports that are under way have begun `OLD_DAYS` ago; how many there are. Not in a run without faults.

    They stay so: what is made young again before the rows are read might be found by a net that misses old ones.
    """
    if not x.faulted:
        return 0
    # Workers are frozen in the middle of whatever they did: what they hold locked is left as it is.
    aged, _ = (
        x.sql(
            f"UPDATE healthkit_import_{table} SET created_at = created_at - interval '{OLD_DAYS} days' WHERE id IN "
            f"(SELECT id FROM healthkit_import_{table} WHERE status = '{status}' FOR UPDATE SKIP LOCKED) RETURNING id"
        )
        for table, status in (("batch", "PROCESSING"), ("chunk", "PENDING"))
    )
    return len(aged)


@row(
    "B3",
    title="Redis frozen for longer than any request may take",
    tier=Tier.CORE,
    recovery=Recovery.STORE_AWAY,
    defects=(no_timeouts.DEFECT.expecting(Kind.UNBOUNDED),),
)
def test_b3_redis_frozen(x: Experiment) -> None:
    """Requests stay bounded, codes too, and health says what is away; workers resume, missed ticks are made up."""
    x.request_bound_s = REQUEST_BOUND_S
    parked = x.park_chunk()
    frozen = x.inject(FreezeRedis())
    x.release(parked)
    expect_alarm(x, "broker_unreachable")
    x.hold(FREEZE_S)
    x.heal(frozen)
    expect_loud(x, "log:broker_lost", "log:publish_failed", "health:broker_unreachable")


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
    "B6",
    title="300 ms ± 100 ms and sliced packets between the API, the workers and Redis",
    load=Load(phones=6, samples=3_000, planted_phones=4, planted_samples=1_600),
    recovery=Recovery.STORE_AWAY,
    defects=(impatient_no_sweeper.DEFECT.expecting(Kind.LOST),),
)
def test_b6_slow_redis(x: Experiment) -> None:
    """Slower, never wrong: what publishing does not manage within its bound is made up for."""
    for service in ("worker", "api"):
        x.inject(SlowLink(service, SLOWNESS, least_s=SLOWNESS[0].latency_s))
    x.work()
    x.hold(SLOW_S)
    x.heal_all()


@row(
    "B8",
    title="Redis' memory is full under noeviction, while phones upload",
    recovery=Recovery.STORE_AWAY,
    defects=(publish_errors_ignored.DEFECT.expecting(Kind.LOST),),
)
def test_b8_redis_full(x: Experiment) -> None:
    """Uploads are accepted though no message can be sent; it is loud; all is dispatched once there is room again."""
    x.work()
    await_imports(x)
    full = x.inject(FillRedis())
    expect_alarm(x, "import_overdue", "queue_without_consumer")
    x.hold(FULL_S)
    x.witness("uploads completed while Redis was full", _completed_since(x))
    x.heal(full)
    expect_loud(x, "log:publish_failed", names=("maxmemory",))
    expect_loud(x, "metric:app_publish_failures_total")


def _completed_since(x: Experiment) -> int:
    """How many imports were uploaded to their end, and so ought to be dispatched, since the fault; by their rows."""
    since = x.injected_at()
    if since is None:
        return 0
    ((count,),) = x.sql(
        f"SELECT count(*) FROM healthkit_import_batch WHERE uploaded_count = chunk_count AND dispatched_at > '{since}'"
    )
    return int(count)
