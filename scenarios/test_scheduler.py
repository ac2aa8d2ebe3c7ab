"""S: the scheduler."""

from __future__ import annotations

from harness.anomaly import Kind
from harness.clock import utc_now, wait_for
from harness.demands.claims import hold_until_freed
from harness.demands.demands import (
    await_fit,
    await_state,
    await_tick,
    await_watch,
    expect_alarm_of_each,
    expect_loud,
    expect_taken_over,
    expect_unfit,
)
from harness.drivers.protocol import StackSpec
from harness.errors import WaitTimeout
from harness.experiment.experiment import Experiment
from harness.experiment.schedule import doubled_ticks, late_ticks, leader
from harness.faults.network import HarmLink
from harness.faults.process import FreezeReplica, KillReplica
from harness.faults.schedule import AddBeat, DisableEntry, EditEntry, MistypeEntry
from harness.links.toxics import Refuse
from harness.rows.row import Load, Tier, row
from harness.times import LAB, Recovery
from scenarios.defects import (
    lease_asked_once,
    no_import_checks,
    no_standby,
    publish_errors_ignored,
    schedule_read_once,
    stock_beat,
    swept_by_beat_only,
    unreadable_skipped,
    unseen_unnoticed,
)

SOME = Load(phones=4, samples=2_000, planted_phones=2, planted_samples=400)
WATCHED_S = 10 * LAB.sweep_interval_s
TAKEOVER_S = LAB.beat_lease_s + LAB.beat_renew_s + 2 * LAB.sweep_interval_s
"""The lease runs out, the standby looks, its first tick falls due and is published."""
HUNG_S = 3 * LAB.beat_lease_s
"""Beat's health check calls it hung after three lease times without a round. Longer than a takeover."""
EDITED = "send-due-reminders"
"""The app's entry in the schedule."""
EDITED_EVERY_S = 0.5
ROUND_S = 5.0
"""At most so long until beat looks at its entries again."""
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
    await_tick(x)
    killed = x.inject(KillReplica(leader(x.stack)))
    x.hold(x.times.overdue_s)
    expect_alarm_of_each(x, "beat_absent")
    x.heal(killed)
    expect_alarm_of_each(x, "ticks_missed")


@row(
    "S2",
    variant="unled",
    title="a worker killed mid-chunk while no beat leads",
    load=SOME,
    recovery=Recovery.HOLDER_DIED,
    defects=(swept_by_beat_only.DEFECT.expecting(Kind.LATE),),
)
def test_s2_worker_killed_without_beat(x: Experiment) -> None:
    """Workers sweep by themselves: the chunk is free for another as soon as with a beat."""
    parked = x.park_chunk()
    x.inject(KillReplica(leader(x.stack)))
    x.inject(KillReplica(parked.replica))
    x.release(parked)
    hold_until_freed(x, parked)
    expect_taken_over(x, parked)


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
    await_fit(x, old)
    frozen = x.inject(FreezeReplica(old))
    expect_unfit(x, old, bound_s=HUNG_S)
    bound_s = TAKEOVER_S * x.crowding()
    x.anomalies += late_ticks(monitor.published(), bound_s=bound_s, since=x.injected_at(), until=utc_now())
    x.heal(frozen)
    x.hold(WATCHED_S)
    x.anomalies += doubled_ticks(monitor.published(), since=frozen.injected.healed_at if frozen else None)
    expect_loud(x, "log:beat_lease_lost", names=(old,))


@row(
    "S5",
    title="Redis is away from beat while ticks fall due",
    load=SOME,
    defects=(publish_errors_ignored.DEFECT.expecting(Kind.SILENT),),
)
def test_s5_redis_away_at_the_tick(x: Experiment) -> None:
    """Every tick that could not be published is made up for, or told to be missed; none is lost without a word."""
    x.watch_redis()
    x.work()
    await_tick(x)
    away = x.inject(HarmLink("beat", "redis", Refuse()))
    x.hold(WATCHED_S)
    x.heal(away)
    expect_loud(x, "log:publish_failed", names=x.stack.replicas("beat"))


@row(
    "S9",
    title="an entry of the schedule is edited while beat leads",
    load=SOME,
    defects=(schedule_read_once.DEFECT.expecting(Kind.LATE),),
)
def test_s9_entry_edited(x: Experiment) -> None:
    """Its due times are the new ones, soon and without a restart."""
    x.work()
    if x.inject(EditEntry(EDITED, EDITED_EVERY_S)) is None:
        return
    bound_s = (2 * LAB.beat_renew_s + 2 * LAB.sweep_interval_s + ROUND_S) * x.crowding()
    as_edited = (
        "SELECT due_at FROM (SELECT due_at, due_at - lag(due_at) OVER (ORDER BY due_at) AS gap FROM scheduling_tick "
        f"WHERE entry = '{EDITED}') t WHERE gap <= {EDITED_EVERY_S} * interval '1 second' LIMIT 1"
    )
    try:
        seen = wait_for(lambda: x.sql(as_edited), awaiting="ticks as edited", timeout_s=bound_s, interval_s=0.2)
    except WaitTimeout:
        seen = []
    x.expect(
        bool(seen),
        otherwise=Kind.LATE,
        summary=f"{EDITED} was edited to be due every {EDITED_EVERY_S:g} s, and is not after {bound_s:.0f} s",
        ids={"entry": EDITED},
    )


@row(
    "S9",
    variant="mistyped",
    title="an entry of the schedule is added with a queue that is none",
    load=SOME,
    defects=(unreadable_skipped.DEFECT.expecting(Kind.SILENT),),
)
def test_s9_entry_mistyped(x: Experiment) -> None:
    """It has no ticks, so none that could be missed: that it does not run is told, and all others go on."""
    x.work()
    await_watch(x)
    mistyped = x.inject(MistypeEntry("lab-mistyped", task="reminders.send_due"))
    expect_loud(x, "log:schedule_unreadable", names=("lab-mistyped",))
    expect_alarm_of_each(x, "schedule_unreadable")
    x.heal(mistyped)


@row(
    "S9",
    variant="disabled",
    title="the entry that finds due reminders is disabled, and forgotten",
    load=SOME,
    defects=(unseen_unnoticed.DEFECT.expecting(Kind.SILENT),),
)
def test_s9_entry_disabled(x: Experiment) -> None:
    """Beat leads and misses nothing, and nothing fails: that reminders are overdue is told. Enabled, all are sent."""
    x.may_miss_ticks.add(EDITED)
    await_watch(x)
    disabled = x.inject(DisableEntry(EDITED))
    x.work()
    due = "SELECT 1 FROM reminders_reminder WHERE due_at < clock_timestamp() LIMIT 1"
    await_state(x, lambda: x.sql(due), awaiting="a reminder to be due")
    expect_alarm_of_each(x, "reminders_overdue")
    x.heal(disabled)
