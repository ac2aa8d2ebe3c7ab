"""Lanes: side by side, in order, nothing lost when one dies, everything undone when the run is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.clock import wait_for
from harness.drivers.choice import choose
from harness.errors import LabError
from harness.events import Event, NoteEvent
from harness.lab_home import PROJECT
from harness.rows.plan import Plan
from harness.rows.row import Row
from harness.run.lane import Job, LaneOrder, Played
from harness.run.lanes import Lanes, usual_lanes
from tests.lanes.lane_double import run_double

PATIENCE_S = 60.0


def nobody(_: Plan) -> str:
    return "lab chaos"


def scenario(_: object) -> None:
    raise AssertionError("doubles do not play it")


def job(row: str, does: str = "nothing") -> Job:
    return Job(plan=Plan(Row(id=row, title=does)), scenario=scenario, test=f"t.py::{row}")


@dataclass
class Heard:
    """What the lanes told, in order."""

    begun: list[str] = field(default_factory=list)
    played: list[str] = field(default_factory=list)
    lanes: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)

    def on_event(self, event: Event) -> None:
        assert isinstance(event, NoteEvent)
        self.notes[event.scenario] = event.text

    def on_begun(self, job: Job) -> None:
        self.begun.append(job.plan.slug())

    def on_played(self, job: Job, played: Played) -> None:
        self.played.append(job.plan.slug())
        self.lanes.add(played.versions["lane"])


def order(directory: Path) -> LaneOrder:
    return LaneOrder(
        choice=choose("processes"), directory=directory, seed=1, replay=nobody, app_dir=None, parent=os.getpid()
    )


def lanes(directory: Path, heard: Heard, *, count: int) -> Lanes:
    return Lanes(
        order=order(directory),
        count=count,
        listener=heard,
        on_begun=heard.on_begun,
        on_played=heard.on_played,
        run=run_double,
    )


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_jobs_of_one_lane_are_played_in_order_and_each_knows_the_next_and_the_controls_pace(
    tmp_path: Path, heard: Heard
) -> None:
    jobs = [job("CONTROL"), job("A"), job("B")]
    with closing(lanes(tmp_path, heard, count=1)) as several:
        several.add(jobs[:1])
        several.wait_for(jobs[0].plan)
        several.add(jobs[1:])
        several.wait_for(jobs[2].plan)
    assert heard.begun == heard.played == ["CONTROL", "A", "B"]
    assert heard.notes == {
        "CONTROL": "then nothing, pace unknown",
        "A": "then B, pace known",
        "B": "then nothing, pace known",
    }
    assert (tmp_path / "lane-1.ended").exists()


def test_two_lanes_play_at_the_same_time(tmp_path: Path, heard: Heard) -> None:
    jobs = [job("A", "waits for B"), job("B", "waits for A"), job("C"), job("D")]
    with closing(lanes(tmp_path, heard, count=2)) as several:
        several.add(jobs)
        for each in jobs:
            several.wait_for(each.plan)
    assert heard.begun[:2] == ["A", "B"]
    assert sorted(heard.played) == ["A", "B", "C", "D"]
    assert heard.lanes == {"1", "2"}


def test_a_lane_that_dies_fails_its_own_job_and_no_other(tmp_path: Path, heard: Heard) -> None:
    jobs = [job("A", "dies"), job("B"), job("C")]
    with closing(lanes(tmp_path, heard, count=1)) as several:
        several.add(jobs)
        with pytest.raises(LabError, match=r"the lane that played A died \(-9\)"):
            several.wait_for(jobs[0].plan)
        for each in jobs[1:]:
            several.wait_for(each.plan)
    assert heard.played == ["B", "C"]


def test_closing_interrupts_what_is_being_played_which_undoes_it(tmp_path: Path, heard: Heard) -> None:
    several = lanes(tmp_path, heard, count=2)
    several.add([job("A", "hangs"), job("B")])
    several.wait_for(job("B").plan)
    begun: Callable[[], bool] = (tmp_path / "A.begun").exists
    wait_for(begun, awaiting="A to hang", timeout_s=PATIENCE_S)
    several.close()
    assert (tmp_path / "A.undone").exists()
    assert heard.played == ["B"]


def test_a_lane_that_cannot_undo_something_is_told_when_all_have_ended(tmp_path: Path, heard: Heard) -> None:
    several = lanes(tmp_path, heard, count=2)
    several.add([job("A", "cannot be undone"), job("B", "waits for A")])
    for each in ("A", "B"):
        several.wait_for(job(each).plan)
    with pytest.raises(LabError, match=r"lanes failed to undo what they had begun: 1 \(1\)"):
        several.close()
    assert (tmp_path / "lane-2.ended").exists()


def test_what_was_not_begun_is_not_played_once_given_up(tmp_path: Path, heard: Heard) -> None:
    jobs = [job("A", "waits for go"), job("B")]
    with closing(lanes(tmp_path, heard, count=1)) as several:
        several.add(jobs)
        several.give_up("a fault could not be undone")
        (tmp_path / "go.begun").touch()
        several.wait_for(jobs[0].plan)
        with pytest.raises(LabError, match="a fault could not be undone"):
            several.wait_for(jobs[1].plan)
    assert heard.begun == heard.played == ["A"]


@pytest.mark.parametrize(
    ("driver", "cores", "count"),
    [("processes", 2, 2), ("containers", 2, 1), ("containers", 1, 1), ("processes", None, 1), ("processes", 64, 4)],
)
def test_how_many(driver: str, cores: int | None, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert usual_lanes(driver) == count


def test_a_lane_ends_with_its_parent_however_that_dies() -> None:
    command = [sys.executable, "-m", "tests.lanes.parent"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lane = int(parent.stdout.readline())
        wait_for(lambda: os.getpgid(lane) == lane, awaiting="the lane to be on its own", timeout_s=PATIENCE_S)
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{lane}").exists(), awaiting="the end of the lane", timeout_s=PATIENCE_S)
