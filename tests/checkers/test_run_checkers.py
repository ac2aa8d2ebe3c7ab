"""Effects, loudness, recovery, crashed, vacuity and the suite: clean, each anomaly alone, empty, crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from harness.anomaly import Kind
from harness.checkers import crashed, effects, loudness, recovery, vacuity
from harness.checkers.suite import check_all
from harness.evidence.evidence import Bound, Evidence, Expectations, LoudSignal, ReplicaExit
from harness.receipt import Receipt
from tests.checkers.world import HEART, STARTED, STARTED_MS, World, fault

DUE_MS = STARTED_MS + 3000
BATCH = f"batch-1-{HEART}"
SIGNAL = LoudSignal(
    fault="kill_worker(worker-1)", sources=("log:worker_lost", "health:import_overdue"), names=("worker-1",)
)


def with_reminder(world: World, **changes: object) -> None:
    """A reminder ordered, due after three seconds, sent 200 ms later."""
    due = (STARTED + timedelta(seconds=3)).isoformat()
    world.op(kind="create_reminder", facts={"reminder_id": "5", "key": "k", "text": "Take it", "due": due})
    world.add("reminders", id=5, user_id=1, key="k", text="Take it", due_ms=DUE_MS)
    world.add("deliveries", id=1, reminder_id=5, due_ms=DUE_MS, key="5:x", status="sent", attempts=1, sent_ms=DUE_MS)
    row = {"at_ms": DUE_MS + 200, "key": "5:x", "reminder_id": "5", "due_ms": DUE_MS, "text": "Take it", "status": 200}
    world.add("received", **(row | changes))


def with_ticks(world: World, dues: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    world.add("entries", name="sweep", task="healthkit.sweep", every_s=1.0, is_enabled=True)
    for due in dues:
        at = STARTED_MS + due * 1000
        world.add(
            "ticks", id=due, entry="sweep", due_ms=at, status="done", holder="beat-1", published_ms=at, done_ms=at
        )
        world.add("publishes", at_ms=at, queue="default", task="healthkit.sweep", message_id=f"m{due}",
                  tick=f"sweep|{at}", is_redelivered=False)  # fmt: skip


def kinds(check: Callable[[Evidence], tuple[object, ...]], evidence: Evidence) -> list[Kind]:
    return [each.kind for each in check(evidence)]  # type: ignore[attr-defined]  # every check returns anomalies


def test_effects_clean(world: World) -> None:
    with_reminder(world)
    with_ticks(world)
    assert effects.check(world.evidence()) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key": "other"}, Kind.DUPLICATED),
        ({"at_ms": DUE_MS + 900}, Kind.DUPLICATED),
    ],
    ids=["two keys", "same key again"],
)
def test_reminder_sent_twice(world: World, changes: dict[str, object], expected: Kind) -> None:
    with_reminder(world)
    world.add("received", **(world.one("received") | changes))
    [anomaly] = effects.check(world.evidence())
    assert (anomaly.kind, anomaly.ids["reminder"]) == (expected, "5")


def test_repeat_across_a_fault_is_redelivered(world: World) -> None:
    with_reminder(world)
    world.add("received", **(world.one("received") | {"at_ms": STARTED_MS + 21_000}))
    evidence = world.evidence(faults=(fault(),))
    assert effects.check(evidence) == ()
    assert effects.redelivered(evidence) == 1


def test_a_second_beat_excuses_no_repeat(world: World) -> None:
    with_reminder(world)
    world.add("received", **(world.one("received") | {"at_ms": STARTED_MS + 21_000}))
    assert kinds(effects.check, world.evidence(faults=(fault(name="add_beat", target="beat"),))) == [Kind.DUPLICATED]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text": "Take that"}, Kind.WRONG_RECORD),
        ({"at_ms": DUE_MS - 1}, Kind.WRONG_RECORD),
        ({"at_ms": DUE_MS + 15_000}, Kind.LATE),
        ({"status": 503}, Kind.MISSED_EFFECT),
        ({"status": None}, Kind.MISSED_EFFECT),
    ],
    ids=["other text", "early", "late", "refused", "cut"],
)
def test_reminder_wrong(world: World, changes: dict[str, object], expected: Kind) -> None:
    with_reminder(world, **changes)
    assert kinds(effects.check, world.evidence()) == [expected]


def test_reminder_missed(world: World) -> None:
    with_reminder(world)
    world.rows["received"].clear()
    assert kinds(effects.check, world.evidence()) == [Kind.MISSED_EFFECT]


def test_reminder_noted_as_sent_and_never_taken(world: World) -> None:
    with_reminder(world, status=503)
    soon = world.evidence(ended_at=STARTED + timedelta(seconds=4))
    assert kinds(effects.check, soon) == [Kind.MISSED_EFFECT]
    world.one("deliveries")["status"] = "pending"
    moving = world.evidence(ended_at=STARTED + timedelta(seconds=4), moving=("reminder 5 due",))
    assert effects.check(moving) == ()


def test_reminder_late_because_of_a_fault(world: World) -> None:
    with_reminder(world, at_ms=STARTED_MS + 22_000)
    assert effects.check(world.evidence(faults=(fault(),))) == ()


def test_reminder_that_was_due_before_it_was_ordered(world: World) -> None:
    """It owes its lateness to the phone; the app answers for what follows the order."""
    with_reminder(world)
    long_ago_ms = DUE_MS - 108_000_000
    world.one("reminders")["due_ms"] = world.one("received")["due_ms"] = long_ago_ms
    world.one("ops", kind="create_reminder")["facts"]["due"] = (STARTED - timedelta(hours=30)).isoformat()
    assert effects.check(world.evidence()) == ()
    world.one("received")["at_ms"] += 120_000
    assert kinds(effects.check, world.evidence()) == [Kind.LATE]


def test_reminder_nobody_ordered(world: World) -> None:
    with_reminder(world)
    world.add("received", **(world.one("received") | {"reminder_id": "6", "key": "6:x"}))
    assert kinds(effects.check, world.evidence()) == [Kind.UNEXPECTED]


@pytest.mark.parametrize("key", [None, "", "None", "null"])
def test_reminder_without_a_key(world: World, key: str | None) -> None:
    with_reminder(world, key=key)
    [anomaly] = effects.check(world.evidence())
    assert (anomaly.kind, anomaly.ids["reminder"]) == (Kind.WRONG_RECORD, "5")


def test_two_reminders_under_one_key(world: World) -> None:
    with_reminder(world)
    due = (STARTED + timedelta(seconds=3)).isoformat()
    world.op(kind="create_reminder", facts={"reminder_id": "6", "key": "l", "text": "Take it", "due": due})
    world.add("reminders", id=6, user_id=1, key="l", text="Take it", due_ms=DUE_MS)
    world.add("received", **(world.one("received") | {"reminder_id": "6", "key": "6:x"}))
    assert effects.check(world.evidence()) == ()
    world.one("received", reminder_id="6")["key"] = "5:x"
    [anomaly] = effects.check(world.evidence())
    assert (anomaly.kind, anomaly.ids["key"]) == (Kind.WRONG_RECORD, "5:x")


def test_tick_published_twice(world: World) -> None:
    with_ticks(world)
    world.add("publishes", **(world.one("publishes") | {"message_id": "again"}))
    [anomaly] = effects.check(world.evidence())
    assert (anomaly.kind, anomaly.ids["tick"]) == (Kind.DUPLICATED, f"sweep|{STARTED_MS}")


def test_tick_with_two_rows(world: World) -> None:
    with_ticks(world)
    world.add("ticks", **(world.one("ticks") | {"id": 99}))
    assert kinds(effects.check, world.evidence()) == [Kind.DUPLICATED]


def test_tick_missing(world: World) -> None:
    with_ticks(world, dues=(0, 1, 4, 5))
    assert kinds(effects.check, world.evidence()) == [Kind.MISSED_EFFECT]


def test_tick_never_done(world: World) -> None:
    with_ticks(world)
    world.one("ticks", id=0)["status"] = "published"
    world.one("ticks", id=3)["done_ms"] = STARTED_MS + 40_000
    assert kinds(effects.check, world.evidence()) == [Kind.MISSED_EFFECT]


def test_schedule_without_ticks_published_too_often(world: World) -> None:
    world.add("entries", name="sweep", task="healthkit.sweep", every_s=1.0, is_enabled=True)
    for number in range(20):
        world.add("publishes", at_ms=STARTED_MS + number * 500, task="healthkit.sweep", message_id=str(number),
                  queue="default", tick=None, is_redelivered=False)  # fmt: skip
    assert kinds(effects.check, world.evidence()) == [Kind.DUPLICATED]


def heard(world: World, *, after_s: float, name: str = "worker-1") -> None:
    at_ms = STARTED_MS + int(after_s * 1000)
    world.add("log_lines", at_ms=at_ms, replica="api-1", service="api", level="WARNING", event="worker_lost",
              message="lost", line={"event": "worker_lost", "worker": name})  # fmt: skip


@pytest.mark.parametrize(
    ("times", "name", "expected"),
    [
        ((12.0,), "worker-1", []),
        ((), "worker-1", [Kind.SILENT]),
        ((5.0, 12.0), "worker-1", [Kind.SILENT]),
        ((31.0,), "worker-1", [Kind.SILENT]),
        ((12.0,), "worker-2", [Kind.SILENT]),
    ],
    ids=["heard", "silent", "sounded before", "too late", "names another"],
)
def test_loudness(world: World, times: tuple[float, ...], name: str, expected: list[Kind]) -> None:
    for after_s in times:
        heard(world, after_s=after_s, name=name)
    evidence = world.evidence(faults=(fault(),), expectations=Expectations(loud=(SIGNAL,)))
    assert kinds(loudness.check, evidence) == expected


def test_of_what_is_done_twice_the_first_time_is_to_be_heard(world: World) -> None:
    heard(world, after_s=12.0)
    late = STARTED + timedelta(seconds=14)
    again = fault(injected_at=late, bitten_at=late + timedelta(seconds=0.5))
    expectations = Expectations(loud=(SIGNAL,))
    assert loudness.check(world.evidence(faults=(fault(), again), expectations=expectations)) == ()
    assert kinds(loudness.check, world.evidence(faults=(again, fault()), expectations=expectations)) == [Kind.SILENT]


def test_what_is_to_be_heard_of_no_fault_is_an_error(world: World) -> None:
    """A demand that nothing can break would hold without a word."""
    with pytest.raises(KeyError):
        loudness.check(world.evidence(expectations=Expectations(loud=(SIGNAL,))))


def test_loud_by_health(world: World) -> None:
    problem = {"code": "import_overdue", "detail": "claimed by worker-1", "batch": BATCH}
    reading = {"imports": {"api-1": {"status": 503, "problems": [problem]}}}
    world.add("readings", at_ms=STARTED_MS + 12_000, reading=reading)
    assert loudness.check(world.evidence(faults=(fault(),), expectations=Expectations(loud=(SIGNAL,)))) == ()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 0, 1), []),
        ((0, 0, 0), [Kind.SILENT]),
        ((1, 1, 0), [Kind.SILENT]),
        ((0, 1, 2), [Kind.SILENT]),
        ((0, 1, 3), [Kind.SILENT]),
        ((0, 1, 4), []),
        ((None, None, None), [Kind.SILENT]),
    ],
    ids=[
        "rises",
        "stays",
        "falls",
        "rose as much before",
        "rose as fast before",
        "rises faster than before",
        "never told",
    ],
)
def test_loud_by_metric(world: World, values: tuple[int | None, ...], expected: list[Kind]) -> None:
    for at_s, value in zip((1, 5, 12), values, strict=True):
        told = {} if value is None else {"app_problems{import_overdue}": float(value)}
        world.add("readings", at_ms=STARTED_MS + at_s * 1000, reading={"metrics": told})
    signal = LoudSignal(fault="kill_worker(worker-1)", sources=("metric:app_problems{import_overdue}",))
    evidence = world.evidence(faults=(fault(),), expectations=Expectations(loud=(signal,)))
    assert kinds(loudness.check, evidence) == expected


def test_failure_without_a_trace(world: World) -> None:
    world.one("chunks", id=2)["status"] = "FAILED"
    world.add("dead_letters", id=1, task="t", message_id="m-1", reason="unknown task", is_redriven=False)
    assert kinds(loudness.check, world.evidence()) == [Kind.SILENT, Kind.SILENT]
    world.add("log_lines", at_ms=1, replica="worker-1", event="chunk_failed", batch=BATCH, idx=1, line={})
    world.add("log_lines", at_ms=1, replica="worker-1", event="dead_lettered", line={"message": "m-1"})
    for level, expected in (("WARNING", [Kind.SILENT, Kind.SILENT]), ("ERROR", [])):
        for line in world.rows["log_lines"]:
            line["level"] = level
        assert kinds(loudness.check, world.evidence()) == expected


@pytest.mark.parametrize(
    ("chunk_id", "expected"), [(2, []), (3, [Kind.SILENT])], ids=["its own line", "another chunk's line"]
)
def test_dead_letter_of_a_chunk(world: World, chunk_id: int, expected: list[Kind]) -> None:
    world.add(
        "dead_letters", id=1, task="t", message_id="chunk:2", batch=BATCH, chunk_id=2, reason="r", is_redriven=True
    )
    world.add("log_lines", at_ms=1, replica="w", event="dead_lettered", level="ERROR", batch=BATCH,
              line={"chunk_id": chunk_id})  # fmt: skip
    assert kinds(loudness.check, world.evidence()) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"tick": "sweep|2026-04-10T12:00:01.000900+00:00"}, []),
        ({"tick": "sweep|2026-04-10T12:00:02+00:00"}, [Kind.SILENT]),
        ({"tick": "other|2026-04-10T12:00:01+00:00"}, [Kind.SILENT]),
        ({"count": 1}, []),
        ({"count": 0}, [Kind.SILENT]),
        (None, [Kind.SILENT]),
    ],
    ids=["its own line", "another tick's", "another entry's", "counted", "counts others", "none"],
)
def test_tick_missed(world: World, line: dict[str, object] | None, expected: list[Kind]) -> None:
    world.add("ticks", id=1, entry="sweep", due_ms=STARTED_MS + 1000, status="missed")
    world.add("ticks", id=2, entry="sweep", due_ms=STARTED_MS + 2000, status="done")
    world.add("ticks", id=3, entry="sweep", due_ms=STARTED_MS - 1000, status="missed")  # of before: its line is, too
    if line is not None:
        world.add("log_lines", at_ms=STARTED_MS + 9000, replica="beat-1", event="tick_missed", line=line)
    assert kinds(loudness.check, world.evidence()) == expected


@pytest.mark.parametrize(
    ("event", "delivery", "expected"),
    [
        ("reminder_failed", 1, []),
        ("reminder_failed", 2, [Kind.SILENT]),
        ("reminder_sent", 1, [Kind.SILENT]),
    ],
    ids=["its own line", "another delivery's", "another event"],
)
def test_delivery_given_up(world: World, event: str, delivery: int, expected: list[Kind]) -> None:
    with_reminder(world)
    world.one("deliveries")["status"] = "failed"
    world.add("log_lines", at_ms=DUE_MS, replica="worker-1", event=event, line={"delivery": delivery})
    assert kinds(loudness.check, world.evidence()) == expected


@pytest.mark.parametrize(
    ("event", "batch", "expected"),
    [
        ("batch_finished", BATCH, []),
        ("upload_abandoned", BATCH, []),
        ("upload_abandoned", "another", [Kind.SILENT]),
        ("batch_dispatched", BATCH, [Kind.SILENT]),
    ],
    ids=["its end", "its upload", "another batch's", "another event"],
)
def test_batch_abandoned(world: World, event: str, batch: str, expected: list[Kind]) -> None:
    world.one("batches", id=BATCH)["status"] = "ABANDONED"
    world.add("log_lines", at_ms=DUE_MS, replica="worker-1", event=event, batch=batch, line={})
    assert kinds(loudness.check, world.evidence()) == expected


@pytest.mark.parametrize(
    ("pending", "read_at", "expected"),
    [
        pytest.param(0, ("1", "2"), [Kind.FALSE_ALARM], id="nothing waits"),
        pytest.param(3, ("1", "2"), [], id="work waits"),
        pytest.param(0, ("1", "1"), [], id="one reading, written twice"),
    ],
)
def test_alarm_in_the_control(world: World, pending: int, read_at: tuple[str, str], expected: list[Kind]) -> None:
    reading = {
        "imports": {"api-1": {"status": 503, "problems": [{"code": "import_overdue"}]}},
        "chunks": {"PENDING": pending},
        "queues": {"default": 0},
    }
    for number, at in enumerate(read_at):
        world.add("readings", at_ms=STARTED_MS + 250 * number, reading={**reading, "imports_at": at})
    control = Expectations(is_control=True, has_faults=False)
    assert kinds(loudness.check, world.evidence(expectations=control)) == expected


def test_an_alarm_of_two_single_moments_is_none(world: World) -> None:
    for number, problems in enumerate(([{"code": "broker_unreachable"}], [], [{"code": "broker_unreachable"}])):
        reading = {"imports": {"api-1": {"status": 503, "problems": problems}}, "imports_at": str(number)}
        world.add("readings", at_ms=STARTED_MS + 250 * number, reading=reading)
    control = Expectations(is_control=True, has_faults=False)
    assert loudness.check(world.evidence(expectations=control)) == ()


@pytest.mark.parametrize("unread", ["chunks", "queues"])
def test_what_the_lab_could_not_read_may_have_waited(world: World, unread: str) -> None:
    reading = {
        "imports": {"api-1": {"status": 503, "problems": [{"code": "import_overdue"}]}},
        "chunks": {"PENDING": 0},
        "queues": {"default": 0},
    }
    del reading[unread]
    for number in range(2):
        world.add("readings", at_ms=STARTED_MS + 250 * number, reading={**reading, "imports_at": str(number)})
    control = Expectations(is_control=True, has_faults=False)
    assert loudness.check(world.evidence(expectations=control)) == ()


@pytest.mark.parametrize(("late_ms", "expected"), [(200, [Kind.FALSE_ALARM]), (6_000, [])], ids=["in time", "late"])
def test_an_alarm_about_a_reminder_that_did_come_late_is_true(world: World, late_ms: int, expected: list[Kind]) -> None:
    with_reminder(world, at_ms=DUE_MS + late_ms)
    for number in range(2):
        reading = {
            "imports": {"api-1": {"status": 503, "problems": [{"code": "reminders_overdue"}]}},
            "imports_at": str(number),
        }
        world.add("readings", at_ms=STARTED_MS + 250 * number, reading=reading)
    control = Expectations(is_control=True, has_faults=False, overdue_s=5.0)
    assert kinds(loudness.check, world.evidence(expectations=control)) == expected


def test_an_alarm_is_held_against_what_waited_when_it_was_read(world: World) -> None:
    imports = {"api-1": {"status": 503, "problems": [{"code": "import_overdue"}]}}
    for number, (at, pending) in enumerate([("1", 2), ("1", 0), ("2", 1), ("2", 0)]):
        reading = {"imports": imports, "imports_at": at, "chunks": {"PENDING": pending}, "queues": {"default": 0}}
        world.add("readings", at_ms=STARTED_MS + 250 * number, reading=reading)
    control = Expectations(is_control=True, has_faults=False)
    assert loudness.check(world.evidence(expectations=control)) == ()


def test_error_logged_in_the_control(world: World) -> None:
    world.add("log_lines", at_ms=STARTED_MS, replica="api-1", level="ERROR", event="oops", message="boom", line={})
    control = Expectations(is_control=True, has_faults=False)
    assert kinds(loudness.check, world.evidence(expectations=control)) == [Kind.FALSE_ALARM]
    assert loudness.check(world.evidence()) == ()


@pytest.mark.parametrize(
    ("changes", "lasted_s", "expected"),
    [
        ({}, 3.0, []),
        ({"level": "WARNING"}, 3.0, [Kind.SILENT]),
        ({"batch": BATCH}, 3.0, [Kind.SILENT]),
        ({"service": "api"}, 3.0, [Kind.SILENT]),
        ({"at_ms": STARTED_MS}, 3.0, [Kind.SILENT]),
        ({"at_ms": STARTED_MS}, 1.0, []),
    ],
    ids=["said", "in passing", "of a chunk", "by the api", "before", "too short to be met"],
)
def test_a_sweeper_that_cannot_sweep(
    world: World, changes: dict[str, object], lasted_s: float, expected: list[Kind]
) -> None:
    said = {"at_ms": STARTED_MS + 11_000, "replica": "worker-1", "service": "worker", "level": "ERROR",
            "event": "database_unavailable", "line": {}}  # fmt: skip
    world.add("log_lines", **(said | changes))
    bitten_at = STARTED + timedelta(seconds=10)
    killed = fault(name="kill_postgres", bitten_at=bitten_at, healed_at=bitten_at + timedelta(seconds=lasted_s))
    assert kinds(loudness.check, world.evidence(faults=(killed,))) == expected


def test_recovery_clean(world: World) -> None:
    bound = Bound(name="consumes again", kind=Kind.NOT_RECOVERED, took_s=1.0, bound_s=2.0)
    world.add("messages", place="unacked", queue="default", task="healthkit.import_chunk", message_id="m", batch=BATCH,
              idx=0, age_s=3.0)  # fmt: skip
    assert recovery.check(world.evidence(bounds=(bound,), states={"api-1": "healthy"})) == ()


@pytest.mark.parametrize("took_s", [None, 2.5], ids=["never", "too late"])
def test_recovery_bound(world: World, took_s: float | None) -> None:
    bound = Bound(name="consumes again", kind=Kind.NOT_RECOVERED, took_s=took_s, bound_s=2.0)
    assert kinds(recovery.check, world.evidence(bounds=(bound,))) == [Kind.NOT_RECOVERED]


def test_replica_unhealthy_at_the_end(world: World) -> None:
    [anomaly] = recovery.check(world.evidence(states={"api-1": "healthy", "worker-2": "unhealthy"}))
    assert anomaly.ids == {"service": "worker-2"}


def test_still_moving_at_the_deadline(world: World) -> None:
    [anomaly] = recovery.check(world.evidence(moving=("reminder 5 due",)))
    assert (anomaly.kind, anomaly.ids) == (Kind.NOT_RECOVERED, {"moving": "reminder 5 due"})


def test_request_unbounded(world: World) -> None:
    world.op(attempts=[{"at": STARTED.isoformat(), "ended": STARTED.isoformat(), "took_s": 31.0, "replica": "api-2"}])
    assert kinds(recovery.check, world.evidence()) == [Kind.UNBOUNDED]


@pytest.mark.parametrize(
    "left",
    [
        {"place": "queue", "batch": BATCH, "idx": 0},
        {"place": "unacked", "batch": BATCH, "idx": 0, "age_s": 500.0},
        {"place": "unacked", "batch": "unknown", "age_s": 1.0},
    ],
    ids=["finished in a queue", "unacked too long", "unfinished"],
)
def test_left_in_flight(world: World, left: dict[str, object]) -> None:
    world.add("messages", queue="default", task="healthkit.import_chunk", message_id="m", **left)
    assert kinds(recovery.check, world.evidence()) == [Kind.NOT_RECOVERED]


@pytest.mark.parametrize(
    ("exits", "refusals", "expected"),
    [
        ((), (), []),
        ((ReplicaExit(replica="worker-1", code=137, is_told=True),), (), []),
        ((ReplicaExit(replica="worker-1", code=1, is_told=False),), (), [Kind.CRASHED]),
        ((ReplicaExit(replica="worker-1", code=78, is_told=False),), ("worker-1",), []),
        ((ReplicaExit(replica="worker-1", code=78, is_told=False),), (), [Kind.CRASHED]),
        ((ReplicaExit(replica="worker-1", code=1, is_told=False),), ("worker-1",), [Kind.NOT_REFUSED]),
        ((), ("worker-1",), [Kind.NOT_REFUSED]),
    ],
    ids=["none", "told", "crash", "refusal", "undeclared refusal", "wrong code", "did not exit"],
)
def test_exits(world: World, exits: tuple[ReplicaExit, ...], refusals: tuple[str, ...], expected: list[Kind]) -> None:
    expectations = Expectations(refusals=frozenset(refusals))
    assert kinds(crashed.check, world.evidence(exits=exits, expectations=expectations)) == expected


UNSOUND = [
    ({}, {}),
    ({"faults": ()}, {"doubt": "no fault was injected"}),
    ({"faults": (replace(fault(), receipt=None),)}, {"doubt": "left no receipt"}),
    (
        {"faults": (replace(fault(), receipt=Receipt("x", "same", "same")),)},
        {"doubt": "read the same before and after"},
    ),
    ({"faults": (replace(fault(), healed_at=None),)}, {"doubt": "never seen healed"}),
    ({"witnesses": {"redelivered": 0}}, {"doubt": "the witness 'redelivered' saw nothing"}),
    ({"lab_errors": ("phone u1:\nboom",)}, {"doubt": "the lab failed"}),
]


@pytest.mark.parametrize(
    ("parts", "expected"),
    UNSOUND,
    ids=["sound", "no fault", "no receipt", "receipt unchanged", "not healed", "no witness", "lab error"],
)
def test_vacuity(world: World, parts: dict[str, object], expected: dict[str, str]) -> None:
    expectations = Expectations(witnesses=("redelivered",))
    given = {"faults": (fault(),), "witnesses": {"redelivered": 2}, "expectations": expectations} | parts
    doubts = vacuity.doubts(world.evidence(**given))
    assert [expected["doubt"] in doubt for doubt in doubts] == ([True] if expected else [])


def test_unfinished_upload_is_a_doubt(world: World) -> None:
    world.one("batches", id=BATCH)["status"] = "PENDING"
    world.one("ops", kind="start_import", batch=None)["facts"]["chunk_count"] = 3
    assert ["uploads were not finished" in doubt for doubt in vacuity.doubts(world.evidence())] == [True]


def test_suite_clean(world: World) -> None:
    findings = check_all(world.evidence())
    assert (findings.anomalies, findings.doubts) == ((), ())
    assert findings.counts["acknowledged"] == 48


def test_suite_over_nothing() -> None:
    empty = World(rows={name: [] for name in World().rows})
    empty.rows = {name: [] for name in empty.rows}
    findings = check_all(empty.evidence())
    assert findings.anomalies == ()
    assert findings.doubts == ("0 samples were acknowledged, at least 1 must be",)


def test_suite_with_a_crash(world: World) -> None:
    world.kept["expectations"] = Expectations(loud=(replace(SIGNAL, sources=("smoke:signal",)),))
    findings = check_all(world.evidence(faults=(fault(),)))
    assert findings.anomalies == ()
    assert [doubt.splitlines()[0] for doubt in findings.doubts] == ["checker loudness crashed:"]
