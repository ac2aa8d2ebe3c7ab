"""The pages about commands, held against the commands: nothing is told that does not exist, nothing is left out."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness import commands
from harness.cli import build
from harness.lab_home import PROJECT
from harness.play.menu import MENU
from harness.verdict import ExitCode

NAMES = ("reading-a-report", "ci", "playing", "patch", "tutorial", "load")
PAGES = [PROJECT / "README.md", *(PROJECT / "docs" / f"{name}.md" for name in NAMES)]
WORKFLOW = PROJECT / ".github" / "workflows" / "chaos.yml"
KNOWN = {module.name for module in pkgutil.iter_modules(commands.__path__)}
TARGETS = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
OPTIONS = {
    name: set(re.findall(r"--[a-z]+", CliRunner().invoke(build(), [name, "--help"], terminal_width=200).output))
    for name in sorted(KNOWN)
}


def code_in(path: Path) -> str:
    """What stands in code, inline or in blocks, without its comments."""
    code = path.read_text()
    if path.suffix == ".md":
        code = "\n".join([*re.findall(r"```[a-z]*\n(.*?)```", code, re.DOTALL), *re.findall(r"`([^`\n]+)`", code)])
    return re.sub(r"^\s*# .*$", "", code, flags=re.MULTILINE)


@pytest.mark.parametrize("path", [*PAGES, WORKFLOW], ids=lambda path: path.name)
def test_commands_options_and_targets_exist(path: Path) -> None:
    code = code_in(path)
    calls = re.findall(r"(?<![\w/-])(?:\.venv/bin/|lab/\.venv/bin/)?lab ([a-z]+)((?:[^\n·|#]*))", code)
    assert calls
    assert {name for name, _ in calls} <= KNOWN
    unknown = [(name, option) for name, rest in calls for option in set(re.findall(r"--[a-z]+", rest)) - OPTIONS[name]]
    assert unknown == []
    assert set(re.findall(r"\bmake (?:-C lab )?([a-z]+)", code)) <= TARGETS


def test_every_command_is_told_of() -> None:
    told = "\n".join(code_in(page) for page in PAGES)
    assert [name for name in sorted(KNOWN) if f"lab {name}" not in told] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_exit_codes_are_the_ones_told() -> None:
    told = dict(re.findall(r"^\| (\d) \| (?:the )?(\w+)", (PROJECT / "docs" / "ci.md").read_text(), re.MULTILINE))
    assert told == {"0": "VALID", "1": "INVALID", "2": "INCONCLUSIVE", "3": "lab"}
    assert {str(int(code)): code.name for code in ExitCode} == {**told, "3": "LAB_FAILED"}


def test_the_workflow_gates_and_keeps() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert set(workflow[True]) == {"pull_request", "schedule", "workflow_dispatch"}  # YAML reads `on` as true
    for job in ("fast", "everything", "load"):
        steps = workflow["jobs"][job]["steps"]
        after = [step for step in steps if step.get("if") == "always()"]
        assert [step["name"] for step in after] == ["Summary and annotations", "Keep the run"]


def test_inputs_never_become_text_of_a_command() -> None:
    """`${{ inputs.x }}` in `run` would let whoever starts the workflow run anything."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    commands_run = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    assert [command for command in commands_run if "inputs." in command or "github." in command] == []
    given = {"$IDS", "$SEED"}
    assert [command for command in commands_run if "make" in command and any(name in command for name in given)] == []
    assert all(any(name in command for command in commands_run) for name in given)


def test_a_night_is_replaced_by_nothing() -> None:
    """Runs of one group replace or await one another: only those of one pull request may."""
    concurrency = yaml.safe_load(WORKFLOW.read_text())["concurrency"]
    assert "${{ github.event_name }}" in concurrency["group"]
    assert concurrency["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"


def test_the_page_about_playing_lists_the_menu() -> None:
    told = re.findall(
        r"^\| `([a-z-]+)` \| ([^|]+) \| `([^|`]+)` \|$", (PROJECT / "docs" / "playing.md").read_text(), re.M
    )
    assert told == [(name, dish.title, dish.service) for name, dish in MENU.items()]


def test_the_faults_of_the_pages_are_on_the_menu() -> None:
    names = re.findall(r"lab inject ([a-z]\S*)", "\n".join(code_in(page) for page in PAGES))
    assert names
    assert set(names) <= set(MENU)
