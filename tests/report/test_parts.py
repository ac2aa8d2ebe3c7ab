"""What the page is made of, against a run made by hand."""

from __future__ import annotations

import html
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import report
from harness.anomaly import Kind, gravity
from harness.errors import LabError
from harness.evidence.rows_file import ROWS_FILE
from harness.play.round import PLAY
from harness.report import glossary, history, story, timeline
from harness.report.accused import accused
from harness.report.annotations import workflow_commands
from harness.report.console import first_anomaly
from harness.report.record import AnomalyGroup, RunRecord, ScenarioRecord, read
from harness.report.summary import render_summary
from harness.rows.row import PLAIN
from harness.times import LAB
from tests.report import handmade
from tests.report.handmade import lines_of


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    return read(handmade.write_invalid_run(tmp_path / "run"))


def scenario_of(run: RunRecord, identity: str) -> ScenarioRecord:
    return next(one for one in run.scenarios if one.id == identity)


def build(scenario: ScenarioRecord) -> dict[str, Any]:
    return timeline.build(scenario, accused(scenario), lines_of(scenario))


def test_every_kind_of_anomaly_is_explained() -> None:
    assert set(glossary.MEANINGS) == set(Kind)
    assert glossary.meaning("of a later version") == ""


def test_every_time_of_a_stack_is_explained() -> None:
    assert set(glossary.TIMES) == set(LAB.as_json())


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        ("CONTROL", "Control"),
        ("W12", "Workers die"),
        ("L5", "Retention"),
        (PLAIN, "Load runs"),
        (PLAY, "Played by hand"),
        ("Z9", "Z"),
    ],
)
def test_a_scenario_is_of_its_family(identity: str, named: str) -> None:
    assert glossary.family(identity) == named


def test_words_are_linked_once_and_nothing_is_trusted() -> None:
    text = str(glossary.explained("<b> chunk and chunks of a batch"))
    assert text.startswith("&lt;b&gt; <a class=")
    assert text.count("<a ") == 2
    assert glossary.explained("hold") != "hold"
    assert glossary.explained("what tables hold") == "what tables hold"
    assert "<a" not in glossary.explained("Not recovered: worker-1")  # a word of the glossary in another meaning


def test_never_stored_samples_come_first() -> None:
    kinds = ["silent", "wrong_anchor", "duplicated", "crashed", "wrong_accounting", "lost", "wrongly_imported", "late"]
    assert sorted(kinds, key=gravity) == [
        *("lost", "late", "duplicated", "wrongly_imported", "wrong_accounting", "wrong_anchor"),
        *("crashed", "silent"),
    ]


def test_labels_and_anchors() -> None:
    planted = handmade.scenario("W6", planted="no_sweeper", faulted=False)
    path = Path("/nowhere")
    one = report.record.parse_scenario(planted, run_directory=path)
    assert one.label == "W6 × no_sweeper, no fault"
    assert one.anchor == "s-W6-no-sweeper-no-fault"


@pytest.mark.parametrize(
    ("expected", "verdict", "anomalies", "is_as_expected"),
    [
        pytest.param("VALID", "VALID", {}, True, id="valid"),
        pytest.param("VALID", "SKIPPED", {}, True, id="skipped"),
        pytest.param("lost", "SKIPPED", {}, True, id="skipped, with a defect"),
        pytest.param("VALID", "INCONCLUSIVE", {}, False, id="inconclusive"),
        pytest.param("lost", "INVALID", handmade.LOST, True, id="caught"),
        pytest.param("late", "INVALID", handmade.LOST, False, id="caught for another reason"),
        pytest.param("lost", "VALID", {}, False, id="not caught"),
    ],
)
def test_whether_it_ended_as_declared(
    expected: str, verdict: str, anomalies: dict[str, object], is_as_expected: bool
) -> None:
    raw = handmade.scenario("W6", verdict=verdict, anomalies=anomalies, expected=expected)
    assert report.record.parse_scenario(raw, run_directory=Path("/nowhere")).is_as_expected is is_as_expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "holds no run.json", id="missing"),
        pytest.param("{", "is not JSON", id="torn"),
        pytest.param('{"schema": 2}', "expected an object with schema 1, seen schema 2", id="later schema"),
        pytest.param("[]", "seen schema list", id="no object"),
    ],
)
def test_what_is_no_run(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(LabError, match=message):
        read(tmp_path)


def test_a_run_of_nothing_still_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "verdict": "INCONCLUSIVE", "scenarios": []}')
    assert "INCONCLUSIVE" in report.write(tmp_path).read_text()


def test_the_command_of_a_run_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    """Words with blanks and quotes in them arrive as they were; the command is called as everybody calls it."""
    asked = ["--ids", "W1 W2", "--keyword", "control or it's", "--seed", "3"]
    directory = handmade.write_run(tmp_path, [handmade.scenario("W1"), handmade.scenario("W2")], verdict="VALID")
    told = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**told, "argv": ["/somewhere/.venv/bin/lab", "chaos", *asked]}))
    page = report.write(directory).read_text()
    [command] = re.findall(r"<code>(.*?)</code>", page[page.index('id="environment"') :].partition("</section>")[0])
    assert shlex.split(html.unescape(command)) == ["lab", "chaos", *asked]


def test_the_history_of_a_lost_sample(run: RunRecord) -> None:
    told, *others = history.histories(scenario_of(run, "W6"), lines_of(scenario_of(run, "W6")))
    assert others == []
    assert told.subject == f"sample {handmade.LOST_SAMPLE}"
    lines = [(event.source, event.who, event.text) for event in told.events]
    assert [source for source, _, _ in lines] == [
        *("row", "phone", "phone", "row", "log", "log"),
        *("fault", "fault", "fault"),
        *("row", "row", "row", "verdict"),
    ]
    assert (
        "log",
        "worker-1",
        "chunk_started: chunk started chunk=2 chunk_id=77 task_id=t-77",
    ) in lines
    assert ("row", "last look", "no message in Redis is about this chunk") in lines
    assert told.events[-2].is_bad
    assert told.events[-1].text.startswith("lost: acknowledged at")
    timed = [event.at for event in told.events]
    assert timed == sorted(timed)


def test_the_history_is_told_once_for_each_chunk(run: RunRecord) -> None:
    """Twenty samples of one chunk are one history, and so is the batch they are in."""
    assert len(history.histories(scenario_of(run, "W6"), lines_of(scenario_of(run, "W6")))) == 1


def test_the_timeline(run: RunRecord) -> None:
    columns = build(scenario_of(run, "W6"))
    assert columns["start"] == "2026-11-03T08:15:00.000+00:00"
    assert columns["t"][:3] == [0.0, 0.25, 0.5]
    assert columns["faults"] == [
        {"name": "kill_worker", "target": "worker-1", "inject": 12.0, "bite": 12.06, "heal": 15.4}
    ]
    states = {row["replica"]: [(span[0], span[2]) for span in row["spans"]] for row in columns["states"]}
    assert list(states) == ["api-1", "api-2", "worker-1", "worker-2", "beat-1", "redis", "postgres"]
    assert states["worker-1"] == [
        (0.0, "starting"),
        (2.5, "healthy"),
        (12.0, "down"),
        (15.5, "starting"),
        (17.0, "healthy"),
    ]
    assert columns["present"][0] is None
    assert columns["acknowledged"][1] == 1_400.0
    assert max(columns["health"]) == 1
    assert len(columns["latency"]["failed"]) == 6
    assert [text for _, _, text in columns["latency"]["refused"]] == ["d1-60 upload_chunk: CONFLICT"]


def test_a_gap_in_the_watch_is_a_gap_in_the_chart(tmp_path: Path) -> None:
    """A store that could not be read, or a harness that stood still, is not drawn as if it had been well."""
    readings = [
        {"at": handmade.at(0.0), "queues": {"default": 2}, "states": {"redis": "healthy"}},
        {"at": handmade.at(0.5)},
        {"at": handmade.at(1.0), "queues": {"high": 1}, "states": {"redis": "healthy"}},
        {"at": handmade.at(9.0), "queues": {"high": 1}, "states": {"redis": "healthy"}},
    ]
    (tmp_path / "B3").mkdir()
    (tmp_path / "B3" / "watch.jsonl").write_text("\n".join(json.dumps(one) for one in readings) + '\n{"at": "20')
    raw = handmade.scenario("B3", faulted=False)
    raw["directory"] = "B3"
    columns = build(report.record.parse_scenario(raw, run_directory=tmp_path))
    assert columns["queues"] == {"default": [2, None, 0, 0], "high": [0, None, 1, 1]}
    assert columns["states"] == [{"replica": "redis", "spans": [[0.0, 1.0, "healthy"], [9.0, 9.0, "healthy"]]}]


def test_where_nobody_watched_requests_are_drawn_all_the_same(tmp_path: Path) -> None:
    """A load run against a stack elsewhere has a ledger and nothing else."""
    (tmp_path / "LOAD").mkdir()
    attempts = [
        {"at": handmade.at(4.0), "ended": handmade.at(4.5), "outcome": "UNKNOWN", "status": 503},
        {"at": handmade.at(7.0), "ended": handmade.at(7.25), "outcome": "OK", "status": 200},
    ]
    line = json.dumps({"op": "d-0", "kind": "register", "attempts": attempts})
    (tmp_path / "LOAD" / "ledger.jsonl").write_text(line + "\n")
    raw = handmade.scenario("LOAD", faulted=False)
    raw["directory"] = "LOAD"
    raw["faults"] = []
    columns = build(report.record.parse_scenario(raw, run_directory=tmp_path))
    assert (columns["start"], columns["t"]) == ("2026-11-03T08:15:04.000+00:00", [])
    assert columns["latency"]["failed"] == [[0.0, 0.5, "d-0 register: 503"]]
    assert columns["latency"]["median"] == [0.25]


def test_long_watches_are_thinned_and_keep_their_end(tmp_path: Path) -> None:
    (tmp_path / "W20").mkdir()
    lines = [json.dumps({"at": handmade.at(number / 4), "unacked": number}) for number in range(5_000)]
    (tmp_path / "W20" / "watch.jsonl").write_text("\n".join(lines))
    raw = handmade.scenario("W20", faulted=False)
    raw["directory"] = "W20"
    columns = build(report.record.parse_scenario(raw, run_directory=tmp_path))
    assert len(columns["t"]) == timeline.MAX_READINGS
    assert columns["unacked"][-1] == 4_999


def test_the_summary_names_what_is_wrong_and_how_to_replay(run: RunRecord) -> None:
    text = render_summary(run)
    assert text.startswith("## ❌ INVALID: 100 × lost in W6\n")
    assert "### Anomalies: 101" in text
    assert f"sample `{handmade.LOST_SAMPLE}`" in text
    assert (
        "| ❌ INVALID | W6 | SIGKILL of the whole worker mid-chunk | VALID **not met** | lost × 100, silent × 1 |"
        in text
    )
    assert "lab chaos --driver processes --ids W6 --seed 42" in text
    assert "\\|" not in text


def test_a_cell_breaks_no_table(tmp_path: Path) -> None:
    odd = {"lost": {"count": 1, "first": [{"summary": "a | b\n<script>", "ids": {}}]}}
    path = handmade.write_run(
        tmp_path / "run", [handmade.scenario("W6", verdict="INVALID", anomalies=odd)], verdict="INVALID"
    )
    assert "a \\| b &lt;script>" in render_summary(read(path))
    assert "<script>\n" not in report.write(path).read_text().partition("<main>")[2].partition("</main>")[0]


def test_annotations_stand_at_the_scenario(run: RunRecord, tmp_path: Path) -> None:
    source = tmp_path / "scenarios" / "test_w6.py"
    source.parent.mkdir()
    source.write_text("import os\n\n\n@row('W6')\ndef test_w6(x):\n    pass\n")
    found = list(workflow_commands(run, root=tmp_path))
    assert len(found) == 2
    assert found[0].startswith(
        "::error file=scenarios/test_w6.py,line=5,title=W6%3A INVALID%2C expected VALID::lost × 100: acknowledged at"
    )
    assert found[0].endswith("%0Areplay: lab chaos --driver processes --ids W6 --seed 42")
    assert found[1].startswith("::warning title=B3%3A INCONCLUSIVE")


def test_planted_defects_that_are_caught_are_not_annotated(tmp_path: Path) -> None:
    caught = handmade.scenario("W6", verdict="INVALID", anomalies=handmade.LOST, planted="no_sweeper", expected="lost")
    run = read(handmade.write_run(tmp_path / "run", [caught], verdict="VALID"))
    assert list(workflow_commands(run, root=tmp_path)) == []
    assert first_anomaly(run) == ""


def test_the_headline_of_planted_defects_names_those_that_escaped(tmp_path: Path) -> None:
    planted: dict[str, Any] = {"planted": "no_sweeper", "expected": "lost"}
    entries = [
        handmade.scenario("W6", verdict="INVALID", anomalies=handmade.LOST, **planted),
        handmade.scenario("W5", verdict="VALID", **planted),
        handmade.scenario("W19", verdict="SKIPPED", doubt="needs containers", **planted),
    ]
    told = story.headline(read(handmade.write_run(tmp_path / "run", entries, verdict="INVALID")))
    assert told.title == "1 of 2 runs of planted defects did not end as declared; skipped: 1"
    assert [one for one in told.sentences if one.startswith("Not as declared")] == [
        "Not as declared: W5 × no_sweeper. Expected lost. Ended VALID"
    ]
    assert next(figure.value for figure in told.figures if figure.name == "Samples lost") == "100"


def test_what_is_told_of_recovery(run: RunRecord) -> None:
    back = scenario_of(run, "W6")
    gone = replace(back, anomalies=(AnomalyGroup(kind="not_recovered", count=1, first=()),))
    assert story.story(back)[-1] == "Recovery took 2.3 s (chunk done after the heal)."
    assert story.story(gone)[-1].startswith("It had not recovered when the lab gave up, after 2.3 s")


def test_rows_that_a_scenario_made_old_do_not_stand_at_the_beginning(tmp_path: Path) -> None:
    made = handmade.write_invalid_run(tmp_path / "run")
    rows = made / "W6" / ROWS_FILE
    month_ms = 30 * 86_400_000
    aged = [
        {**each, "created_ms": each["created_ms"] - month_ms} for each in map(json.loads, rows.read_text().splitlines())
    ]
    rows.write_text("".join(json.dumps(each) + "\n" for each in aged))
    scenario = scenario_of(read(made), "W6")
    told, *_ = history.histories(scenario, lines_of(scenario))
    assert told.events[0].source == "phone"
    assert sum("the scenario made it old" in event.text for event in told.events) == 2
    timed = [event.at for event in told.events]
    assert timed == sorted(timed)


def test_the_first_anomaly_in_words(run: RunRecord) -> None:
    assert first_anomaly(run).startswith("W6: lost: acknowledged at 08:15:10, in no table")
