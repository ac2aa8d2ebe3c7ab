"""What harmed chunks have in common, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.report.accused import accused
from harness.report.common import Common, common, compressed, ordinal, separators, stride
from harness.report.kinds import kinds
from harness.report.record import ScenarioRecord, read
from tests.report import handmade, shortened
from tests.report.handmade import lines_of


@pytest.fixture
def scenario(tmp_path: Path) -> ScenarioRecord:
    return read(shortened.write(tmp_path / "run")).scenarios[1]


def told(scenario: ScenarioRecord) -> Common:
    found = common(scenario, accused(scenario), lines_of(scenario))
    assert found is not None
    return found


def test_chunks_that_were_executed_again(scenario: ScenarioRecord) -> None:
    found = told(scenario)
    assert found.title == "What the lost samples have in common"
    assert found.findings == (
        "3 of 3 chunks executed 2× are harmed; 0 of the 27 others. The same chunks are those interrupted 1×; "
        "begun and not finished when kill_worker was injected; executed by worker-2, then worker-1; "
        "whose log says claim_taken_over.",
        "12 of 12 samples of these chunks at every 5th position (0, 5, 10 …) are named as lost; 0 of the 48 others.",
    )
    assert found.note == "Counted from those that run.json names (12 of 14 lost) and from the chunks' counters."


def test_each_harmed_chunk_with_its_life(scenario: ScenarioRecord) -> None:
    first, *others = told(scenario).chunks
    assert len(others) == 2
    assert first.name == f"chunk 2 of batch {shortened.BATCHES[1]}"
    assert first.whose == "r-u1/d0 HeartRate"
    assert first.figures.startswith("executed 2×, interrupted 1×, errors: 0 data, 0 infrastructure; by worker-2, then")
    assert first.accounted == "16 of 20"
    assert first.kinds == "4 lost, 1 wrong_accounting; its batch: 1 wrong_anchor"
    assert first.positions == "lost at 0, 5, …, 15: every 5th"


def test_a_chunk_that_falls_short_is_harmed_though_no_anomaly_names_it(scenario: ScenarioRecord) -> None:
    rows = scenario.directory / "rows.jsonl"
    whole = '"executions": 1, "interruptions": 0, "data_attempts": 0, "infra_attempts": 0, "imported_count": 20'
    rows.write_text(rows.read_text().replace(whole, whole.replace("20", "19"), 1))
    last = told(scenario).chunks[-1]
    assert (last.accounted, last.kinds) == ("19 of 20", "named by none: left undone, or its counters fall short")


def test_nothing_is_told_when_nothing_separates_them(tmp_path: Path) -> None:
    scenario = read(handmade.write_invalid_run(tmp_path / "run")).scenarios[1]
    assert common(scenario, accused(scenario), lines_of(scenario)) is None


@pytest.mark.parametrize(
    ("harmed", "expected"),
    [
        pytest.param({0, 10, 20, 30}, [(("tens",), 4, 10), (("fives",), 4, 20)], id="two values"),
        pytest.param({0, 10, 20, 30, 40, 50, 60, 70, 80, 90}, [(("tens",), 10, 10)], id="a clean split is told alone"),
        pytest.param({1, 2, 50}, [], id="no value"),
    ],
)
def test_only_what_would_be_rare_by_chance_separates(
    harmed: set[int], expected: list[tuple[tuple[str, ...], int, int]]
) -> None:
    facts = {n: {"ending": "tens" if n % 10 == 0 else "no tens", "all": "everywhere"} for n in range(100)}
    for number in range(0, 100, 5):
        facts[number]["fives"] = "fives"
    assert [(one.phrases, one.hit, one.size) for one in separators(facts, harmed)] == expected


def test_a_state_in_which_the_harm_left_them_is_not_told_alone() -> None:
    facts = {
        n: {"status": "PENDING" if n < 10 else "DONE", "upload": "early" if n < 12 else "late"} for n in range(100)
    }
    told = [one.phrases for one in separators(facts, set(range(10)))]
    assert told == [("PENDING",), ("early",)]


def test_positions_as_a_person_says_them() -> None:
    assert compressed([]) == ""
    assert compressed([7, 3]) == "3, 7"
    assert compressed(range(100)) == "0–99"
    assert compressed(range(12, 100, 12)) == "12, 24, …, 96: every 12th"
    assert compressed([0, 1, 5, 7, 9, 20, 30, 40, 41]) == "0, 1, 5, 7, 9, 20, 30, 40, … (9 in all)"
    assert [ordinal(number) for number in (2, 3, 11, 21)] == ["2nd", "3rd", "11th", "21st"]
    assert stride([4, 14, 34]) == (10, 4)
    assert stride([4, 14]) == stride([1, 2, 4]) == (1, 0)


def test_kinds_come_by_gravity_and_say_what_they_may_follow_from(scenario: ScenarioRecord) -> None:
    lost, accounting, anchor = kinds(scenario, accused(scenario))
    assert [one.kind for one in (lost, accounting, anchor)] == ["lost", "wrong_accounting", "wrong_anchor"]
    assert (len(lost.first), len(lost.others)) == (3, 9)
    assert lost.more == "9 more of 14; 2 more are counted only"
    assert lost.follows == ""
    assert accounting.follows.startswith("3 of these 3 may follow from lost in the same chunk: ")
    assert anchor.follows.startswith("3 of these 3 may follow from lost in the same batch: ")
