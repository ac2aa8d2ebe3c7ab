"""What an API alone can show, held against a ledger: clean, and each thing that can be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from harness.anomaly import Kind
from harness.ledger import Outcome
from harness.load.people import account, phones_plans
from harness.load.remote import SeenThroughApi, judge_api
from harness.load.timetable import Arrival, Visitor
from tests.load.conftest import MakeOrder, Notes

STEPS = "HKQuantityTypeIdentifierStepCount"
ALONE = Arrival(at_s=0.0, visitor=Visitor.PHONE, person=1, number=0)
SHARED = Arrival(at_s=0.0, visitor=Visitor.PHONE, person=0, number=0)


def run(
    notes: Notes,
    order: MakeOrder,
    *,
    shown: int,
    status: str = "COMPLETED",
    second: Outcome = Outcome.OK,
    wrong: tuple[str, ...] = (),
    arrival: Arrival = ALONE,
) -> SeenThroughApi:
    """Two chunks of three valid samples and a duplicate each, then the aggregates with `shown` samples."""
    device = f"{account(order(), person=arrival.person)}/d0"
    said: dict[str, Any] = {"device": device, "batch_key": "b", "type": STEPS}
    samples = [each for batch in phones_plans(order(), person=1)[0].batches for chunk in batch.chunks for each in chunk]
    valid = [each for each in samples if each.type == STEPS and each.mark == "valid"][:6]
    rows = [
        each.row(user=device.partition("/")[0], device=device, batch_key="b", index=at // 3, position=at % 3)
        for at, each in enumerate(valid)
    ]
    rows += [row.replace(b'"mark":"valid"', b'"mark":"duplicate"') for row in rows[:2]]
    notes.ledger.samples(rows)
    notes.op("start_import", at_s=0, took_s=0.1, **said)
    notes.op("upload_chunk", at_s=1, took_s=0.1, index=0, sample_count=4, wrong=wrong, **said)
    notes.op("upload_chunk", at_s=2, took_s=0.1, index=1, sample_count=4, outcome=second, **said)
    progress = {"status": status}
    notes.op("progress", at_s=3, took_s=0.1, facts={"progress": {"status": "PROCESSING"}}, **said)
    notes.op("progress", at_s=4, took_s=0.1, facts={"progress": progress}, **said)
    days = [{"day": "2026-03-08", "sampleCount": 1}, {"day": "2026-03-09", "sampleCount": shown - 1}]
    notes.op("aggregates", at_s=5, took_s=0.1, device=device, type=STEPS, facts={"final": True, "days": days})
    return judge_api(notes.directory, order=order(), phones=(arrival,))


def test_clean(notes: Notes, order: MakeOrder) -> None:
    seen = run(notes, order, shown=6)
    assert seen.anomalies == ()
    assert seen.asked == 1
    assert (seen.counts["acknowledged"], seen.counts["lost"], seen.counts["duplicated"]) == (8, 0, 0)


@pytest.mark.parametrize("shown", [3, 4, 6], ids=["not there", "some", "there"])
def test_what_stayed_unknown_may_be_there_or_not(notes: Notes, order: MakeOrder, shown: int) -> None:
    assert run(notes, order, shown=shown, second=Outcome.UNKNOWN).anomalies == ()


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"shown": 5}, Kind.LOST),
        ({"shown": 7}, Kind.DUPLICATED),
        ({"shown": 6, "status": "PROCESSING"}, Kind.LATE),
        ({"shown": 6, "wrong": ("sent 4 samples, told 3",)}, Kind.WRONG_ANSWER),
    ],
    ids=["lost", "doubled", "never ended", "wrong answer"],
)
def test_each_wrong_is_named(notes: Notes, order: MakeOrder, wrong: dict[str, Any], kind: Kind) -> None:
    (found,) = run(notes, order, **wrong).anomalies
    assert found.kind is kind


def test_accounts_with_two_phones_are_not_compared(notes: Notes, order: MakeOrder) -> None:
    seen = run(notes, order, shown=5, arrival=SHARED)
    assert (seen.asked, seen.anomalies) == (0, ())


def test_an_empty_ledger_shows_nothing(notes: Notes, order: MakeOrder) -> None:
    seen = judge_api(notes.directory, order=order(), phones=(ALONE,))
    assert (seen.asked, seen.anomalies) == (0, ())
