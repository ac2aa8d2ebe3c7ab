"""The leading beat: every due time is a row, and each row runs, or is made up, or is reported."""

import logging
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from backend import metrics
from backend.celery import app
from backend.clock import monotonic_s
from backend.health import rows
from backend.publish import MessageUnsendable, PublishFailed
from scheduling import leadership, ticks
from scheduling.leadership import Leadership
from scheduling.lease import Held, lease_acquire, lease_release
from scheduling.models import Tick
from scheduling.tick_task import TickTask
from scheduling.ticks import TickId, tick_done, ticks_claim, ticks_forget, ticks_last, ticks_lose, ticks_reopen
from tests.app.plans import plan

pytestmark = pytest.mark.usefixtures("stores")

LEASE_S = 60.0


class Beat:
    """One leading beat whose publishes are recorded, and succeed as long as told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.token = uuid4()
        self.asked: list[str] = []
        self.published: list[str] = []
        self.is_broker_there = True
        self.unsendable: set[str] = set()
        monkeypatch.setattr(leadership, "message_send", self._send)
        self.lead_anew()

    def lead_anew(self) -> None:
        held = lease_acquire(holder="b", token=self.token, lease_s=LEASE_S)
        assert held is not None
        self.lease: Held | None = held
        self.leadership = Leadership(token=self.token, holder="b")

    def loop(self) -> float | None:
        return self.leadership.loop(lambda: self.lease)

    def _send(self, task: str, args: object = (), *, ids: dict[str, str], **_: object) -> None:
        entry = ids["tick"].partition("|")[0]
        self.asked.append(entry)
        if entry in self.unsendable:
            raise MessageUnsendable("no such queue")
        if not self.is_broker_there:
            raise PublishFailed("no answer")
        self.published.append(ids["tick"])


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Beat:
    return Beat(monkeypatch)


def an_entry(*, every_s: int = 3600, name: str = "e") -> PeriodicTask:
    every, _ = IntervalSchedule.objects.get_or_create(every=every_s, period=IntervalSchedule.SECONDS)
    entry: PeriodicTask = PeriodicTask.objects.create(name=name, task="tests.note", interval=every)
    return entry


def edited_long_ago(entry: PeriodicTask) -> None:
    PeriodicTask.objects.filter(pk=entry.pk).update(date_changed=datetime(2026, 1, 1, tzinfo=UTC))


def grid(every_s: int, *, back: int = 0) -> datetime:
    """The latest due time by the database's clock, or one `back` before it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        now_s: float = cursor.fetchone()[0]
    return datetime.fromtimestamp((now_s // every_s - back) * every_s, UTC)


def statuses() -> dict[datetime, str]:
    return dict(Tick.objects.values_list("due_at", "status"))


def missed_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["ids"]["tick"] for record in caplog.records if getattr(record, "event", "") == "tick_missed"]


def test_first_tick_is_the_latest_due_time_alone(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    edited_long_ago(an_entry())
    beat.loop()
    beat.loop()
    due = grid(3600)
    assert statuses() == {due: "published"}
    assert beat.published == [str(TickId("e", due))]
    assert missed_lines(caplog) == []


def test_new_entry_is_not_due_before_it_was_made(beat: Beat) -> None:
    an_entry()
    beat.loop()
    assert statuses() == {}


def test_after_a_downtime_the_latest_runs_and_the_others_are_reported(
    beat: Beat, caplog: pytest.LogCaptureFixture
) -> None:
    edited_long_ago(an_entry())
    Tick.objects.create(entry="e", due_at=grid(3600, back=4), status="done")
    with caplog.at_level(logging.INFO):
        beat.loop()
    dues = [grid(3600, back=back) for back in (4, 3, 2, 1, 0)]
    assert statuses() == dict(zip(dues, ["done", "missed", "missed", "missed", "published"], strict=True))
    assert missed_lines(caplog) == [str(TickId("e", due)) for due in dues[1:4]]
    assert beat.published == [str(TickId("e", dues[4]))]


def test_downtime_is_not_counted_from_before_the_last_edit(beat: Beat) -> None:
    Tick.objects.create(entry="e", due_at=grid(3600, back=9), status="done")
    an_entry()  # edited just now
    beat.loop()
    assert set(statuses().values()) == {"done"}


def test_publish_that_failed_is_made_up_for(beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    edited_long_ago(an_entry())
    beat.is_broker_there = False
    beat.loop()
    assert statuses() == {grid(3600): "claimed"}
    beat.is_broker_there = True
    beat.loop()
    assert beat.published == []  # not at once: each try may take as long as the publish bound
    monkeypatch.setattr(leadership, "monotonic_s", lambda: float("inf"))
    beat.loop()
    assert statuses() == {grid(3600): "published"}


def test_next_leader_makes_up_for_what_the_last_one_claimed(beat: Beat) -> None:
    edited_long_ago(an_entry())
    due = grid(3600)
    ticks_claim("e", run=due, missed=[], token=beat.token, holder="b")
    beat.lead_anew()
    beat.loop()
    assert beat.published == [str(TickId("e", due))]


def test_unpublished_tick_that_a_later_one_overtook_is_reported(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    edited_long_ago(an_entry())
    early = grid(3600, back=1)
    Tick.objects.create(entry="e", due_at=early, status="claimed")
    beat.loop()
    assert statuses() == {early: "missed", grid(3600): "published"}
    assert missed_lines(caplog) == [str(TickId("e", early))]


def test_edit_takes_effect_while_leading_and_makes_nothing_missed(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    entry = an_entry()
    edited_long_ago(entry)
    beat.loop()
    faster, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.filter(pk=entry.pk).update(interval=faster)  # without the model's save: nothing is marked
    beat.loop()
    wait_s = beat.loop()
    assert wait_s is not None
    assert wait_s <= 1.0
    assert missed_lines(caplog) == []


def test_disabled_entry_does_not_run_and_its_pause_is_no_downtime(beat: Beat) -> None:
    entry = an_entry(every_s=1)
    edited_long_ago(entry)
    beat.loop()
    PeriodicTask.objects.filter(pk=entry.pk).update(enabled=False)
    beat.loop()
    before = statuses()
    PeriodicTask.objects.filter(pk=entry.pk).update(enabled=True)
    beat.loop()
    assert [status for due, status in statuses().items() if due not in before and status == "missed"] == []


def test_broken_entry_stops_no_other(beat: Beat, caplog: pytest.LogCaptureFixture) -> None:
    edited_long_ago(an_entry(name="broken"))
    PeriodicTask.objects.filter(name="broken").update(kwargs="{not json")
    edited_long_ago(an_entry(name="e"))
    beat.loop()
    beat.loop()
    assert [tick.split("|")[0] for tick in beat.published] == ["e"]
    assert [r.levelname for r in caplog.records if getattr(r, "event", "") == "schedule_unreadable"] == ["ERROR"]


def test_broken_entry_is_told_again(
    beat: Beat, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited_long_ago(an_entry(name="broken"))
    PeriodicTask.objects.filter(name="broken").update(kwargs="{not json")
    beat.loop()
    later_s = monotonic_s() + leadership.FORGET_EVERY_S
    monkeypatch.setattr(leadership, "monotonic_s", lambda: later_s)
    for _ in range(3):
        beat.loop()
    assert [getattr(r, "event", "") for r in caplog.records].count("schedule_unreadable") == 2


@pytest.mark.parametrize(
    "destination",
    [{"queue": "hihg"}, {"exchange": "e"}, {"routing_key": "high"}, {"exchange": "default", "routing_key": "high"}],
    ids=["no such queue", "exchange", "routing key", "exchange and routing key"],
)
def test_entry_that_leads_to_no_queue_is_named_and_stops_no_other(
    destination: dict[str, str], beat: Beat, caplog: pytest.LogCaptureFixture
) -> None:
    edited_long_ago(an_entry(name="a"))
    edited_long_ago(an_entry(name="b"))
    PeriodicTask.objects.filter(name="a").update(**destination)
    PeriodicTask.objects.filter(name="b").update(queue="high")
    beat.loop()
    assert beat.asked == ["b"]
    assert [r.levelname for r in caplog.records if getattr(r, "event", "") == "schedule_unreadable"] == ["ERROR"]


def test_tick_that_cannot_be_sent_keeps_no_other_from_being_sent(beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    beat.unsendable = {"a"}
    for name in ("a", "b"):
        edited_long_ago(an_entry(name=name))
    beat.loop()
    assert beat.published == [str(TickId("b", grid(3600)))]
    edited_long_ago(an_entry(name="c"))
    ticks_claim("c", run=grid(3600), missed=[], token=beat.token, holder="b")
    beat.loop()
    assert beat.asked == ["a", "b", "c"]  # neither was "a" tried again at once, nor did "c" wait for it
    beat.unsendable = set()
    monkeypatch.setattr(leadership, "monotonic_s", lambda: float("inf"))
    beat.loop()
    assert beat.asked == ["a", "b", "c", "a"]
    assert set(Tick.objects.values_list("status", flat=True)) == {"published"}


def test_broker_that_is_away_is_asked_once_a_loop(beat: Beat) -> None:
    for name in ("a", "b", "c"):
        edited_long_ago(an_entry(name=name))
    beat.is_broker_there = False
    beat.loop()
    assert beat.asked == ["a"]


def test_run_shows_in_the_admin_without_counting_as_an_edit(beat: Beat) -> None:
    entry = an_entry()
    edited_long_ago(entry)
    beat.loop()
    entry.refresh_from_db()
    assert entry.total_run_count == 1
    assert entry.last_run_at is not None
    assert entry.date_changed == datetime(2026, 1, 1, tzinfo=UTC)


def test_one_off_runs_once(beat: Beat) -> None:
    entry = an_entry(every_s=1)
    PeriodicTask.objects.filter(pk=entry.pk).update(one_off=True)
    edited_long_ago(entry)
    beat.loop()
    tick = TickId.parse(beat.published[0])
    beat.loop()
    assert (PeriodicTask.objects.get().enabled, len(beat.published)) == (True, 1)
    tick_done(tick)
    beat.loop()
    entry.refresh_from_db()
    assert (entry.enabled, len(beat.published)) == (False, 1)
    assert entry.date_changed == datetime(2026, 1, 1, tzinfo=UTC)


def test_one_off_that_arrived_although_its_publish_failed_runs_once(
    beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = an_entry(every_s=1)
    PeriodicTask.objects.filter(pk=entry.pk).update(one_off=True)
    edited_long_ago(entry)
    beat.is_broker_there = False
    beat.loop()
    [tick] = Tick.objects.all()
    tick_done(TickId(tick.entry, tick.due_at))
    beat.is_broker_there = True
    monkeypatch.setattr(leadership, "monotonic_s", lambda: float("inf"))
    Tick.objects.update(due_at=F("due_at") - timedelta(seconds=5))  # further times have fallen due meanwhile
    beat.lead_anew()
    beat.loop()
    entry.refresh_from_db()
    assert (entry.enabled, beat.published, list(statuses().values())) == (False, [], ["done"])


def test_one_off_whose_message_was_lost_is_published_again(beat: Beat) -> None:
    entry = an_entry()
    PeriodicTask.objects.filter(pk=entry.pk).update(one_off=True)
    edited_long_ago(entry)
    beat.loop()
    Tick.objects.update(published_at=datetime(2026, 1, 1, tzinfo=UTC))
    beat.lead_anew()
    beat.loop()
    assert len(beat.published) == 2
    assert len(set(beat.published)) == 1


def test_one_off_that_was_edited_after_its_time_runs_once_more(beat: Beat) -> None:
    entry = an_entry(every_s=1)
    PeriodicTask.objects.filter(pk=entry.pk).update(one_off=True)
    edited_long_ago(entry)
    beat.loop()
    PeriodicTask.objects.filter(pk=entry.pk).update(date_changed=datetime.now(UTC) - timedelta(seconds=1))
    Tick.objects.update(due_at=F("due_at") - timedelta(seconds=5))
    tick_done(TickId("e", Tick.objects.get().due_at))
    beat.lead_anew()
    beat.loop()
    assert len(beat.published) == 2


def test_one_off_whose_publish_failed_runs_once_all_the_same(beat: Beat, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = an_entry()
    PeriodicTask.objects.filter(pk=entry.pk).update(one_off=True)
    edited_long_ago(entry)
    beat.is_broker_there = False
    beat.loop()
    first = str(TickId("e", grid(3600)))
    Tick.objects.update(due_at=F("due_at") - timedelta(hours=1))  # a leader takes over after the next due time
    beat.lead_anew()
    beat.loop()
    entry.refresh_from_db()
    assert (entry.enabled, entry.total_run_count, set(statuses().values())) == (True, 0, {"claimed"})
    beat.is_broker_there = True
    monkeypatch.setattr(leadership, "monotonic_s", lambda: float("inf"))
    beat.loop()
    entry.refresh_from_db()
    assert (entry.enabled, entry.total_run_count, set(statuses().values())) == (True, 1, {"published"})
    assert len(beat.published) == 1
    assert first not in beat.published


def test_one_off_of_a_leader_that_died_before_its_publish_is_published_by_the_next(beat: Beat) -> None:
    entry = an_entry()
    PeriodicTask.objects.filter(pk=entry.pk).update(one_off=True)
    edited_long_ago(entry)
    answers = iter([beat.lease, None])
    assert beat.leadership.loop(lambda: next(answers)) is None
    beat.lead_anew()
    beat.loop()
    entry.refresh_from_db()
    assert beat.published == [str(TickId("e", grid(3600)))]


def test_lost_lease_claims_nothing(beat: Beat) -> None:
    edited_long_ago(an_entry())
    lease_release(token=beat.token)
    assert lease_acquire(holder="other", token=uuid4(), lease_s=LEASE_S) is not None
    assert beat.loop() is None
    assert statuses() == {}
    assert beat.published == []


def test_lease_that_runs_out_between_claim_and_publish_publishes_nothing(beat: Beat) -> None:
    edited_long_ago(an_entry())
    held = beat.lease
    answers = iter([held, None])  # in time at the start of the loop, over before the publish: a beat that was frozen
    assert beat.leadership.loop(lambda: next(answers)) is None
    assert set(statuses().values()) == {"claimed"}
    assert beat.published == []


def test_lease_has_one_holder_at_a_time() -> None:
    first, second = uuid4(), uuid4()
    assert lease_acquire(holder="a", token=first, lease_s=LEASE_S) is not None
    assert lease_acquire(holder="b", token=second, lease_s=LEASE_S) is None
    assert lease_acquire(holder="a", token=first, lease_s=LEASE_S) is not None
    lease_release(token=second)
    assert lease_acquire(holder="b", token=second, lease_s=LEASE_S) is None
    lease_release(token=first)
    assert lease_acquire(holder="b", token=second, lease_s=LEASE_S) is not None


def published_ago(due_at: datetime, *, seconds: float, status: str = "published") -> None:
    when = datetime.now(UTC) - timedelta(seconds=seconds)
    Tick.objects.create(entry="e", due_at=due_at, status=status, published_at=when)


LOST: dict[str, tuple[float, str | None, list[str]]] = {
    "overdue, and a later one is done": (10, "done", ["missed", "done"]),
    "not yet overdue": (1, "done", ["published", "done"]),
    "overdue, the later one still on its way": (10, "published", ["published", "published"]),
    "beyond the visibility timeout, a later one exists": (30, "published", ["missed", "published"]),
    "the latest of its entry": (30, None, ["published"]),
}


@pytest.mark.parametrize(("age_s", "later", "expected"), LOST.values(), ids=LOST.keys())
def test_published_ticks_that_were_lost(beat: Beat, age_s: float, later: str | None, expected: list[str]) -> None:
    published_ago(grid(3600, back=1), seconds=age_s)
    if later is not None:
        published_ago(grid(3600), seconds=0, status=later)
    ticks_lose(token=beat.token, overdue_s=5, visibility_s=20)
    assert [status for _, status in sorted(statuses().items())] == expected


def test_latest_tick_that_never_got_done_is_published_again(beat: Beat) -> None:
    published_ago(grid(3600), seconds=30)
    assert ticks_reopen(token=beat.token, visibility_s=60) == 0
    assert ticks_reopen(token=beat.token, visibility_s=20) == 1
    assert set(statuses().values()) == {"claimed"}


def test_missed_tick_whose_message_comes_late_is_done_after_all(beat: Beat) -> None:
    due = grid(3600)
    Tick.objects.create(entry="e", due_at=due, status="missed")
    tick_done(TickId("e", due))
    assert statuses() == {due: "done"}


def test_old_ticks_are_forgotten_but_never_the_latest_of_an_entry(beat: Beat) -> None:
    for back in range(4):
        Tick.objects.create(entry="e", due_at=grid(3600, back=back), status="done")
    Tick.objects.update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert ticks_forget(age_s=86_400, limit=2) == 2
    assert ticks_forget(age_s=86_400, limit=2) == 1
    assert ticks_forget(age_s=86_400, limit=2) == 0
    assert list(statuses()) == [grid(3600)]


@pytest.mark.parametrize("name", ["e", "an|entry with a bar"])
def test_tick_as_text_reads_back(name: str) -> None:
    tick = TickId(name, datetime(2026, 10, 1, 12, tzinfo=UTC))
    assert TickId.parse(str(tick)) == tick


def test_text_that_is_no_tick_is_refused() -> None:
    with pytest.raises(ValueError, match="entry"):
        TickId.parse("nonsense")


def test_task_of_a_tick_runs_once() -> None:
    due, did = grid(3600), []

    class Noting(TickTask):
        name = "tests.noting"

        def run(self) -> None:
            did.append("ran")

    def deliver(**headers: str) -> None:
        task.push_request(args=[], kwargs={}, **headers)
        try:
            task()
        finally:
            task.pop_request()

    Noting.bind(app)
    task = Noting()
    Tick.objects.create(entry="e", due_at=due, status="published")
    deliver(tick=str(TickId("e", due)))
    deliver(tick=str(TickId("e", due)))
    assert did == ["ran"]
    assert statuses() == {due: "done"}
    deliver()
    assert did == ["ran", "ran"]


def test_claim_of_a_due_time_that_another_beat_inserted_is_not_new(beat: Beat) -> None:
    due = grid(3600)
    assert ticks_claim("e", run=due, missed=[], token=beat.token, holder="b") == (True, [TickId("e", due)])
    assert ticks_claim("e", run=due, missed=[], token=beat.token, holder="b") == (True, [])
    assert ticks_claim("e", run=due, missed=[], token=UUID(int=0), holder="b") == (False, [])


def test_last_ticks_of_entries() -> None:
    for name, back in (("a", 2), ("a", 1), ("b", 3)):
        Tick.objects.create(entry=name, due_at=grid(3600, back=back), status="done")
    assert ticks_last(["a", "b", "c"]) == {"a": grid(3600, back=1), "b": grid(3600, back=3)}


QUERIES = {
    "missed, counted": (metrics._MISSED_TICKS, "tick_missed"),
    "missed, as news": (rows._TICKS, "tick_missed"),
    "last of an entry": (ticks._LAST, "tick_once_per_due_time"),
    "old enough to go": (ticks._FORGET, "tick_created"),
}


@pytest.mark.parametrize("query", list(QUERIES))
def test_history_is_not_read(query: str) -> None:
    sql, index = QUERIES[query]
    found = plan(sql, {"news": 1.0, "overdue": 1.0, "age_s": 1.0, "limit": 1, "entries": ["e"]})
    bound = "" if query == "missed, counted" else r"[^>]*Index Cond: \(\(?(created_at|due_at|entry)"
    assert re.search(rf"Scan( Backward)? (using|on) {index}\b{bound}", found), found
