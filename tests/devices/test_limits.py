"""The import at all limits: each limit is in it, and what lies beyond is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from harness.devices.generator import BatchPlan
from harness.devices.limits import LONGEST_ANCHOR, MOST_SAMPLES, anew_plan, limits_plan, send_limits, unanchored_plan
from harness.devices.phone import OpenBatch, start_variables
from harness.devices.sample import US_PER_S, Mark
from tests.devices.scene import Scene

NOW = datetime(2026, 11, 28, 18, 30, 5, 123456, tzinfo=UTC)


def limits(scene: Scene) -> BatchPlan:
    return limits_plan(scene.phone.plan, anchor="a", now=NOW, seed=1)


def test_every_limit_is_there_and_nothing_else_is_odd(scene: Scene) -> None:
    made = limits(scene)
    assert [len(chunk) for chunk in made.chunks] == [MOST_SAMPLES, 1]
    samples = [sample for chunk in made.chunks for sample in chunk]
    starts = [datetime.fromtimestamp(each.start_us / US_PER_S, UTC) for each in samples]
    lengths = [timedelta(microseconds=each.end_us - each.start_us) for each in samples]
    assert min(starts).year == 2001
    assert max(starts) == NOW.replace(microsecond=0) + timedelta(hours=1)
    assert max(lengths) == timedelta(days=6)
    assert {sample.mark for sample in samples} == {Mark.VALID}
    assert len({sample.start_us for sample in samples}) == len({sample.uuid for sample in samples}) == len(samples)
    assert len({start.date() for start in starts}) > 100
    assert len(str(made.new_anchor).encode()) == LONGEST_ANCHOR
    assert len({sample.key for sample in samples}) == len(samples)
    assert limits(scene) == made


def test_an_import_without_an_anchor_and_one_that_begins_anew_have_days_of_their_own(scene: Scene) -> None:
    made = unanchored_plan(scene.phone.plan, seed=1)
    assert (made.starting_anchor, made.new_anchor, start_variables(made)["to"]) == (None, None, None)
    anew = anew_plan(scene.phone.plan, seed=1)
    assert (anew.starting_anchor, start_variables(anew)["to"]) == (None, f"{scene.phone.plan.device}/anew/end")
    days = {each.start_us // (86_400 * US_PER_S) for chunk in limits(scene).chunks for each in chunk}
    alone = {each.chunks[0][0].start_us // (86_400 * US_PER_S) for each in (made, anew)}
    assert (len(alone), alone & days) == (2, set())


@pytest.mark.parametrize("is_refused", [True, False])
def test_one_chunk_too_many_is_sent_while_the_upload_is_open(scene: Scene, is_refused: bool) -> None:
    plan = limits(scene)
    told = [
        {"batchId": "b", "index": 0, "receivedCount": MOST_SAMPLES},
        "BAD_REQUEST" if is_refused else {"batchId": "b", "index": 2, "receivedCount": 0},
        {"batchId": "b", "index": 1, "receivedCount": 1},
    ]
    scene.api.answers["uploadChunk"] = told
    send_limits(scene.phone, OpenBatch(plan, "b", set()))
    assert [sent["index"] for _, sent, _ in scene.api.sent] == [0, 2, 1]
    assert len(scene.wrong()) == (0 if is_refused else 1)
