"""S: the scheduler."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import utc_now
from harness.demands import expect_alarm_of_each, expect_loud, expect_unfit
from harness.drivers.protocol import StackSpec
from harness.experiment import Experiment
from harness.faults.process import FreezeReplica, KillReplica
from harness.faults.schedule import AddBeat
from harness.row import Load, Tier, row
from harness.schedule import doubled_ticks, late_ticks, leader
from harness.times import LAB
from scenarios.defects import lease_asked_once, no_import_checks, no_standby, stock_beat

SOME = Load(phones=4, samples=2_000, planted_phones=2, planted_samples=400)
WATCHED_S = 10 * LAB.sweep_interval_s
TAKEOVER_S = LAB.beat_lease_s + LAB.beat_renew_s + 2 * LAB.sweep_interval_s
"""The lease runs out, the standby looks, its first tick falls due and is published."""
HUNG_S = 3 * LAB.beat_lease_s
"""Beat's health check calls it hung after three lease times without a round. Longer than a takeover."""
TWO_BEATS = StackSpec(replicas={"api": 2, "worker": 2, "beat": 2})


@row(
    "S1", title="two beat replicas", tier=Tier.FAST, load=SOME, defects=(stock_beat.DEFECT.expecting(Kind.DUPLICATED),)
)
def test_s1_two_beats(x: Experiment) -> None:
    """Each due job is published once; the second beat stands by and says so."""
    x.watch_redis()
    x.work()
    x.inject(AddBeat())
    x.hold(WATCHED_S)
    expect_loud(x, "log:beat_standby", names=("beat-",))


@row(
    "S2",
    variant="standby",
    title="the leading beat killed, a standby present",
    tier=Tier.CORE,
    load=SOME,
    spec=TWO_BEATS,
    defects=(no_standby.DEFECT.expecting(Kind.LATE),),
)
def test_s2_leader_killed(x: Experiment) -> None:
    """The standby takes over; no tick is doubled or missing."""
    monitor = x.watch_redis()
    x.work()
    x.inject(KillReplica(leader(x.stack)))
    bound_s = TAKEOVER_S * x.crowding()
    x.hold(bound_s + WATCHED_S / 2)
    x.anomalies += late_ticks(monitor.published(), bound_s=bound_s, since=x.injected_at(), until=utc_now())


@row(
    "S2",
    variant="alone",
    title="the only beat killed, and back after longer than *overdue*",
    load=SOME,
    defects=(no_import_checks.DEFECT.expecting(Kind.SILENT),),
)
def test_s2_only_beat_killed(x: Experiment) -> None:
    """That nobody leads is told, and afterwards what fell due meanwhile; the other ticks go on, each once."""
    x.watch_redis()
    x.work()
    killed = x.inject(KillReplica(leader(x.stack)))
    x.hold(x.times.overdue_s)
    expect_alarm_of_each(x, "beat_absent")
    x.heal(killed)
    expect_alarm_of_each(x, "ticks_missed")


@row(
    "S3",
    title="the leading beat frozen, a standby present; later it goes on",
    load=SOME,
    spec=TWO_BEATS,
    defects=(lease_asked_once.DEFECT.expecting(Kind.DUPLICATED),),
)
def test_s3_leader_frozen(x: Experiment) -> None:
    """Its health check notices, the standby takes over, and when it wakes up it does not tick beside the new leader."""
    monitor = x.watch_redis()
    x.work()
    old = leader(x.stack)
    frozen = x.inject(FreezeReplica(old))
    expect_unfit(x, old, bound_s=HUNG_S)
    bound_s = TAKEOVER_S * x.crowding()
    x.anomalies += late_ticks(monitor.published(), bound_s=bound_s, since=x.injected_at(), until=utc_now())
    x.heal(frozen)
    x.hold(WATCHED_S)
    x.anomalies += doubled_ticks(monitor.published(), since=frozen.injected.healed_at if frozen else None)
    expect_loud(x, "log:beat_lease_lost", names=(old,))
