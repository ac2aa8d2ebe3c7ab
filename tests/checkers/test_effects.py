"""Effects that never came: reminders given up without a word, ticks lost where no fault excuses it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from harness.anomaly import Kind
from harness.checkers import effects
from harness.evidence.evidence import Expectations
from tests.checkers.test_run_checkers import kinds, with_reminder, with_ticks
from tests.checkers.world import STARTED, STARTED_MS, World, fault

STORE_AWAY = Expectations(may_miss_ticks=frozenset({"sweep"}))
RUN_S = 45


@pytest.mark.parametrize(
    ("ended_s", "moving", "expected"),
    [
        (4.0, (), [Kind.MISSED_EFFECT]),
        (4.0, ("reminder 5 due",), []),
        (2.0, (), []),
    ],
    ids=["nothing moves", "still moving", "not due yet"],
)
@pytest.mark.parametrize("status", ["failed", "pending"])
def test_reminder_given_up_and_never_sent(
    world: World, status: str, ended_s: float, moving: tuple[str, ...], expected: list[Kind]
) -> None:
    with_reminder(world)
    world.rows["received"].clear()
    world.one("deliveries")["status"] = status
    evidence = world.evidence(ended_at=STARTED + timedelta(seconds=ended_s), moving=moving)
    assert kinds(effects.check, evidence) == expected


@pytest.mark.parametrize(("last_s", "expected"), [(10, []), (15, [Kind.MISSED_EFFECT])], ids=["soon", "long after"])
def test_tick_never_done_and_never_reported(world: World, last_s: int, expected: list[Kind]) -> None:
    with_ticks(world, dues=tuple(range(last_s)))
    world.one("ticks", id=0)["status"] = "published"
    assert kinds(effects.check, world.evidence()) == expected


@pytest.mark.parametrize(
    ("due_s", "until_s", "expected"),
    [
        (1, RUN_S, [Kind.MISSED_EFFECT]),
        (15, 28, []),
        (15, RUN_S, [Kind.MISSED_EFFECT]),
        (32, RUN_S, [Kind.MISSED_EFFECT]),
    ],
    ids=["before the outage", "in it, just healed", "in it, long healed", "after it"],
)
def test_tick_lost_around_an_outage(world: World, due_s: int, until_s: int, expected: list[Kind]) -> None:
    """An outage from 10 s to 20 s: it is excused for as long as nobody can have told."""
    with_ticks(world, dues=tuple(range(until_s)))
    world.one("ticks", id=due_s)["status"] = "published"
    evidence = world.evidence(faults=(fault(name="kill_redis", target="redis"),), expectations=STORE_AWAY)
    assert kinds(effects.check, evidence) == expected


@pytest.mark.parametrize(
    ("first_s", "expected"),
    [(3, [Kind.MISSED_EFFECT]), (12, []), (22, []), (35, [Kind.MISSED_EFFECT])],
    ids=["before", "in it", "just healed", "long healed"],
)
def test_gap_around_an_outage(world: World, first_s: int, expected: list[Kind]) -> None:
    with_ticks(world, dues=tuple(due for due in range(RUN_S) if not first_s <= due < first_s + 3))
    evidence = world.evidence(faults=(fault(name="kill_redis", target="redis"),), expectations=STORE_AWAY)
    assert kinds(effects.check, evidence) == expected


def test_no_gap_is_excused_where_no_store_is_away(world: World) -> None:
    with_ticks(world, dues=tuple(due for due in range(RUN_S) if not 12 <= due < 15))
    assert kinds(effects.check, world.evidence(faults=(fault(),))) == [Kind.MISSED_EFFECT]


def test_the_slack_of_a_tick_starts_when_it_was_published(world: World) -> None:
    with_ticks(world, dues=tuple(range(15)))
    world.one("ticks", id=0).update(status="published", published_ms=STARTED_MS + 8_000)
    assert effects.check(world.evidence()) == ()
