"""`lab report`, `lab replay` and `lab scenarios`."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text
from typer.main import get_command
from typer.testing import CliRunner

from harness.cli import build
from harness.commands.replay import campaign_of
from harness.errors import LabError
from harness.lab_home import PROJECT
from harness.report.record import PATCH_FILE, read
from harness.rows.plan import Plan
from harness.rows.row import Row
from harness.run.campaign import Campaign
from harness.run.plugin import Mode, Selection
from tests.report import handmade


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return handmade.write_invalid_run(tmp_path / "run")


def test_the_report_is_written_again_from_what_is_stored(run: Path) -> None:
    ran = CliRunner().invoke(build(), ["report", str(run / "run.json")])
    assert ran.exit_code == 0, ran.output
    assert (run / "report.html").is_file()
    assert "W6: lost: acknowledged at" in ran.output
    assert "::error" not in ran.output


def test_in_a_job_it_annotates_and_adds_to_the_summary(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = run / "job.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = CliRunner().invoke(build(), ["report", "--github", str(run)])
    assert "::error title=W6%3A INVALID%2C expected VALID::lost × 100" in ran.output
    assert summary.read_text().startswith("before\n## ❌ INVALID")


def test_what_is_no_run_is_an_error_of_the_lab(tmp_path: Path) -> None:
    ran = CliRunner().invoke(build(), ["report", str(tmp_path)])
    assert isinstance(ran.exception, LabError)


def test_a_replay_has_the_same_driver_seed_and_plan(run: Path) -> None:
    campaign = campaign_of(read(run), scenario="W6")
    assert (campaign.driver, campaign.seed, campaign.patch) == ("processes", 42, None)
    assert campaign.selection.mode is Mode.CHAOS
    assert campaign.selection.plans == {"W6"}
    assert campaign.selection.ids == {"W6"}


def test_a_whole_run_is_replayed_when_no_scenario_is_named(run: Path) -> None:
    assert campaign_of(read(run), scenario="").selection.plans == {"CONTROL", "W6", "B3", "W19"}


def test_a_planted_run_is_replayed_as_one(tmp_path: Path) -> None:
    entries = [handmade.scenario("W6", planted="no_sweeper", faulted=faulted) for faulted in (True, False)]
    run = read(handmade.write_run(tmp_path / "run", entries, verdict="VALID"))
    campaign = campaign_of(run, scenario="W6 × no_sweeper, no fault")
    assert campaign.selection.mode is Mode.DEFECTS
    assert campaign.selection.plans == {"W6--no_sweeper--no-fault"}


def test_a_small_run_is_replayed_small(tmp_path: Path) -> None:
    entries = [{**handmade.scenario("W6"), "replay": "lab chaos --driver processes --ids W6 --plan W6 --small"}]
    run = read(handmade.write_run(tmp_path / "run", entries, verdict="VALID"))
    assert campaign_of(run, scenario="W6").selection.is_small


@pytest.mark.parametrize(("mode", "is_small", "told"), [(Mode.CHAOS, True, True), (Mode.CHAOS, False, False),
                                                        (Mode.DEFECTS, True, False)])  # fmt: skip
def test_the_command_that_replays_a_plan_says_how_large_it_was_and_which_driver_ran(
    *, mode: Mode, is_small: bool, told: bool
) -> None:
    campaign = Campaign(selection=Selection(mode=mode, is_small=is_small), driver="auto", seed=7)
    words = campaign._replay(Plan(Row(id="W6", title=""), is_small=is_small), driver="processes").split()
    assert words[:8] == ["lab", mode.value, "--driver", "processes", "--seed", "7", "--ids", "W6"]
    assert ("--small" in words) is told


@pytest.mark.parametrize("is_kept", [True, False], ids=["with its copy", "without"])
def test_a_patched_run_is_replayed_with_its_copy_of_the_patch(*, is_kept: bool, tmp_path: Path) -> None:
    directory = handmade.write_run(tmp_path / "run", [handmade.scenario("W6")], verdict="INVALID")
    told = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**told, "patch": {"file": "gone/my.diff", "caught_by": None}}))
    if is_kept:
        (directory / PATCH_FILE).write_text("the diff")
    latest = tmp_path / "latest"
    latest.symlink_to(directory)
    expected = directory / PATCH_FILE if is_kept else Path("gone/my.diff")
    assert campaign_of(read(latest), scenario="W6").patch == expected


@pytest.mark.parametrize(
    ("asked", "driver", "replayed"),
    [
        ("--fault W6 --users 4", "processes", "--fault W6 --users 4 --driver processes"),
        ("--driver auto --fault W6", "containers", "--driver auto --fault W6 --driver containers"),
        ("--driver processes --fault W6", "processes", "--driver processes --fault W6"),
        ("--target 'http://a b'", "elsewhere", "--target 'http://a b'"),
    ],
    ids=["no driver named", "auto", "the one named", "elsewhere"],
)
def test_a_load_run_is_loaded_again(
    asked: str, driver: str, replayed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = handmade.write_run(
        tmp_path / "run", [{**handmade.scenario("W6"), "replay": f"lab load {asked}"}], verdict="VALID"
    )
    told = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**told, "driver": driver}))
    called: list[list[str]] = []

    def execv(_: str, words: list[str]) -> None:
        called.append(words)
        raise SystemExit  # the real one does not return

    monkeypatch.setattr("os.execv", execv)
    CliRunner().invoke(build(), ["replay", str(directory)])
    assert [words[2:] for words in called] == [["load", *shlex.split(replayed)]]
    load = get_command(build()).commands["load"]  # type: ignore[attr-defined]  # `lab` is a group
    expected = "auto" if driver == "elsewhere" else driver
    assert load.make_context("load", called[0][3:]).params["driver"] == expected


@pytest.mark.parametrize("name", sorted(get_command(build()).commands))  # type: ignore[attr-defined]  # a group
def test_help_shows_brackets_as_they_are_written(name: str) -> None:
    """In help a word in brackets is a style, and vanishes, unless it is escaped."""
    command = get_command(build()).commands[name]  # type: ignore[attr-defined]  # `lab` is a group
    texts = [command.help or "", *(getattr(each, "help", None) or "" for each in command.params)]
    assert [Text.from_markup(text).plain for text in texts] == [text.replace("\\[", "[") for text in texts]


def test_what_is_not_in_the_run_is_not_replayed(run: Path) -> None:
    with pytest.raises(LabError, match="has no scenario 'P9'; it has CONTROL, W6, B3, W19"):
        campaign_of(read(run), scenario="P9")


def test_every_scenario_is_listed() -> None:
    """In a process of its own: scenarios carry a mark that this pytest does not declare."""
    ran = subprocess.run(
        [sys.executable, "-m", "harness.cli", "scenarios", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
    )
    listed = json.loads(ran.stdout)
    declared = sum(path.read_text().count("@row(") for path in (PROJECT / "scenarios").glob("test_*.py"))
    assert len(listed) >= declared > 10
    assert listed[0]["scenario"] == "CONTROL"
    assert [one for one in listed if not one["title"] or one["family"] == one["scenario"][:1]] == []
