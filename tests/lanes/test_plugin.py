"""pytest's side of a run: the control alone and first, records in the order asked for, JUnit's times the scenarios'."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.drivers.choice import choose
from harness.events import Event, ScenarioEvent, VerdictEvent
from harness.lab_home import PROJECT
from harness.rows.plan import Plan
from harness.run.lane import LaneOrder
from harness.run.plugin import LabPlugin, Mode, Selection, run_code
from harness.run_record import RunRecord
from harness.verdict import ExitCode
from tests.lanes.lane_double import DURATION_S, run_double

ALL = Selection(mode=Mode.CHAOS)
ROWS = """
from harness.rows.row import Load, row

@row("B", title="nothing", load=Load(samples=10))
def test_b(x): ...

@row("A", title="waits for B", load=Load(samples=20))
def test_a(x): ...

@row("CONTROL", title="nothing")
def test_control(x): ...
"""


class Heard:
    """What was told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_event(self, event: Event) -> None:
        match event:
            case ScenarioEvent():
                self.told.append(f"{event.scenario} begins")
            case VerdictEvent():
                self.told.append(f"{event.scenario} ends")


def replay(_: Plan) -> str:
    return ""


@contextmanager
def played(
    rows: str, directory: Path, heard: Heard, *, lanes: int, selection: Selection = ALL
) -> Iterator[tuple[LabPlugin, int]]:
    """What pytest ends with when these rows are played by doubles."""
    (directory / f"{directory.name}_rows_test.py").write_text(rows)  # Python imports a module of one name once.
    order = LaneOrder(
        choice=choose("processes"), directory=directory, seed=1, replay=replay, app_dir=None, parent=os.getpid()
    )
    record = RunRecord(directory=directory, driver="processes", seed=1, argv=[], times={}, root=PROJECT)
    with closing(
        LabPlugin(order=order, lanes=lanes, listener=heard, record=record, selection=selection, run=run_double)
    ) as plugin:
        words = [f"--rootdir={directory}", f"--junitxml={directory / 'junit.xml'}"]
        words += ["-q", "-p", "no:cacheprovider", "-p", "no:terminalreporter"]
        yield plugin, pytest.main([str(directory), *words], plugins=[plugin])


def test_the_control_is_played_first_and_alone(tmp_path: Path) -> None:
    heard = Heard()
    with played(ROWS, tmp_path, heard, lanes=2) as (plugin, ended):
        assert ended == pytest.ExitCode.OK
    assert heard.told[:4] == ["CONTROL begins", "CONTROL ends", "A begins", "B begins"]
    assert set(heard.told[4:]) == {"A ends", "B ends"}
    assert plugin.planned == [each.label() for each in plugin.record.scenarios] == ["CONTROL", "A", "B"]
    told_s = [float(case.get("time", 0)) for case in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")]
    assert len(told_s) == 3
    assert min(told_s) >= DURATION_S


def test_after_a_heal_that_failed_nothing_more_is_begun(tmp_path: Path) -> None:
    heard = Heard()
    with played(ROWS.replace("waits for B", "cannot be healed"), tmp_path, heard, lanes=1) as (plugin, ended):
        assert ended == pytest.ExitCode.TESTS_FAILED
    assert heard.told == ["CONTROL begins", "CONTROL ends", "A begins", "A ends"]
    code, notes = run_code(plugin.record, planned=plugin.planned, is_strict=False)
    assert (code, notes) == (ExitCode.LAB_FAILED, ("B never ran to its end",))


@pytest.mark.parametrize(
    ("does", "told", "expected"),
    [
        (
            "cannot tell",
            ["CONTROL begins", "CONTROL ends"],
            (
                ExitCode.INCONCLUSIVE,
                ("the control is not VALID, so nothing else would prove anything; not played: A, B",),
            ),
        ),
        (
            "dies",
            ["CONTROL begins"],
            (
                ExitCode.LAB_FAILED,
                (
                    *(f"{each} never ran to its end" for each in ("CONTROL", "A", "B")),
                    "the control was not played, so nothing else proves anything",
                ),
            ),
        ),
    ],
)
def test_after_a_control_that_is_not_valid_nothing_is_begun(
    does: str, told: list[str], expected: tuple[ExitCode, tuple[str, ...]], tmp_path: Path
) -> None:
    heard = Heard()
    rows = ROWS.replace('"CONTROL", title="nothing"', f'"CONTROL", title="{does}"')
    with played(rows, tmp_path, heard, lanes=1) as (plugin, ended):
        assert ended == pytest.ExitCode.TESTS_FAILED
    assert heard.told == told
    assert run_code(plugin.record, planned=plugin.planned, is_strict=False) == expected
