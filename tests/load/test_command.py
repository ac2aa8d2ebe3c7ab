"""`lab load`: what its defaults order."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from harness.cli import build
from harness.commands import load as command
from harness.errors import LabError
from harness.load.order import LoadOrder
from harness.load.run import LoadRun
from harness.load.shapes import LoadShape
from harness.load.timetable import middle_s, phones_in, timetable
from harness.verdict import ExitCode


def asked(monkeypatch: pytest.MonkeyPatch, *words: str) -> LoadRun:
    seen: list[LoadRun] = []

    def note(run: LoadRun) -> ExitCode:
        seen.append(run)
        return ExitCode.VALID

    monkeypatch.setattr(command, "start", note)
    found = CliRunner().invoke(build(), ["load", *words])
    assert found.exit_code == 0, found.output
    return seen[0]


def ordered(monkeypatch: pytest.MonkeyPatch, *words: str) -> LoadOrder:
    return asked(monkeypatch, *words).scene.order


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ("--users 3", "lab load --users 3 --driver processes"),
        ("--driver auto", "lab load --driver auto --driver processes"),
        ("--driver processes", "lab load --driver processes"),
    ],
    ids=["no driver named", "auto", "the one named"],
)
def test_the_command_that_loads_again_names_the_driver_that_ran(
    monkeypatch: pytest.MonkeyPatch, called: str, told: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["lab", "load", *called.split()])
    assert asked(monkeypatch, *called.split()).again(driver="processes") == told


@pytest.mark.parametrize("shape", list(LoadShape), ids=str)
def test_phones_come_for_as_long_as_the_shape_lasts(monkeypatch: pytest.MonkeyPatch, shape: LoadShape) -> None:
    order = ordered(monkeypatch, "--shape", shape)
    arrivals = timetable(order)
    assert 2 * middle_s(arrivals) > 0.8 * order.run_time_s
    assert 10 <= phones_in(arrivals) <= 80


def test_a_cap_is_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert phones_in(timetable(ordered(monkeypatch, "--users", "3"))) == 3


def test_a_web_page_in_containers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "start", lambda _: ExitCode.VALID)
    found = CliRunner().invoke(build(), ["load", "--target", "http://127.0.0.1:9", "--in-compose", "--ui"])
    assert isinstance(found.exception, LabError)
    assert "there is no web page" in str(found.exception)
