"""Calls beside the imports: what is asked, and what is found wrong about the answer."""

from __future__ import annotations

from datetime import date

import pytest

from harness.clock import utc_now
from harness.devices import probes
from tests.devices.scene import Scene

FIRST, LAST = date(2026, 3, 1), date(2026, 5, 31)


@pytest.mark.parametrize(
    ("days", "problem"),
    [
        (["2026-03-07", "2026-03-08"], None),
        (["2026-03-08", "2026-03-07"], "ascending"),
        (["2026-03-07", "2026-03-07"], "twice"),
        (["2026-02-28"], "not asked for"),
    ],
    ids=["right", "another order", "doubled", "outside"],
)
def test_days_as_told(scene: Scene, days: list[str], problem: str | None) -> None:
    scene.api.answers["aggregates"] = [[{"day": day} for day in days]]
    probes.ask_aggregates(scene.phone.caller, type_identifier="t", first=FIRST, last=LAST, is_final=True)
    wrong = scene.wrong()
    assert [problem in each for each in wrong if problem] == ([True] if problem else [])
    assert len(wrong) == (1 if problem else 0)


def test_the_first_and_the_last_day_are_asked_for_exactly(scene: Scene) -> None:
    scene.api.answers["aggregates"] = [[{"day": "2026-03-07"}, {"day": "2026-03-09"}]]
    days = probes.ask_aggregates(scene.phone.caller, type_identifier="t", first=FIRST, last=LAST, is_final=True)
    scene.api.answers["aggregates"] = [[]]
    probes.ask_aggregates_exactly(scene.phone.caller, type_identifier="t", days=days)
    probes.ask_aggregates_exactly(scene.phone.caller, type_identifier="t", days=())
    windows = [(sent["from"], sent["to"]) for _, sent, _ in scene.api.sent[1:]]
    assert windows == [("2026-03-07", "2026-03-09"), ("2026-03-09", "2026-03-09")]
    assert [(op["facts"]["first"], op["facts"]["last"]) for op in scene.ops()[1:]] == windows


@pytest.mark.parametrize(("second", "problems"), [("batch-1", 0), ("batch-2", 1)], ids=["one batch", "two batches"])
def test_one_import_started_twice_at_once(scene: Scene, second: str, problems: int) -> None:
    started = [{"batchId": each, "status": "PENDING", "uploadedIndexes": []} for each in ("batch-1", second)]
    scene.api.answers |= {"startImport": started, "importProgress": {}}
    opened = probes.start_at_once(scene.phone, scene.batch.plan)
    first, again = [variables for name, variables, _ in scene.api.sent if name == "startImport"]
    assert first == again
    assert opened is not None
    assert len(scene.wrong()) == problems


@pytest.mark.parametrize("is_everybodys", [True, False])
def test_a_reminder_under_a_key_that_others_use_too(scene: Scene, is_everybodys: bool) -> None:
    scene.api.answers["createReminder"] = "UNAVAILABLE"
    probes.order_reminder(scene.phone.caller, number=0, due=utc_now(), is_everybodys=is_everybodys)
    [(_, sent, _)] = scene.api.sent
    assert (scene.phone.plan.user in sent["key"]) is not is_everybodys
    assert scene.phone.plan.user in sent["text"]


def test_every_other_reminder_is_as_long_as_it_may_be(scene: Scene) -> None:
    scene.api.answers["createReminder"] = "UNAVAILABLE"
    for number in range(2):
        probes.order_reminder(scene.phone.caller, number=number, due=utc_now())
    (_, short, _), (_, longest, _) = scene.api.sent
    assert (len(short["text"]) < 100, len(longest["text"])) == (True, probes.LONGEST_TEXT)
    assert not longest["text"].isascii()


def test_chunks_are_uploaded_at_one_moment(scene: Scene) -> None:
    scene.api.answers["uploadChunk"] = "UNAVAILABLE"
    probes.upload_together(scene.phone, scene.batch, [1, 2])
    assert sorted(sent["index"] for _, sent, _ in scene.api.sent) == [1, 2]
