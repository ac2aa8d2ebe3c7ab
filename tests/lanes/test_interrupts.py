"""Interrupts: the first ends a run in order, and none disturbs the undoing, whether it came before or comes in it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import pytest

from harness.clock import wait_for
from harness.drivers.choice import Choice, Starter
from harness.drivers.pool import Pool
from harness.drivers.protocol import Stack, StackSpec
from harness.errors import DriverError
from harness.experiment.experiment import Experiment
from harness.interrupt import interruptible
from harness.rows.plan import Plan
from harness.rows.row import Row
from harness.run import lane as lane_module
from harness.run.lane import Job, LaneOrder, run_lane

PATIENCE_S = 240.0
SAID = "still undoing"


def test_the_first_ends_the_run_and_the_second_only_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with interruptible():
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert SAID in capsys.readouterr().err


def test_one_that_comes_in_the_undoing_only_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with interruptible() as interrupts:
        interrupts.undo()
        os.kill(os.getpid(), signal.SIGINT)
    assert SAID in capsys.readouterr().err


@dataclass(frozen=True)
class SlowToEnd:
    """A stack that does not start, and ends when it may."""

    spec: StackSpec
    directory: Path

    def start(self) -> None:
        raise DriverError("it does not start")

    def down(self) -> None:
        wait_for((self.directory / "may_end").exists, awaiting="leave to end", timeout_s=PATIENCE_S)
        (self.directory / "ended").touch()


@dataclass(frozen=True)
class Making:
    """Makes them; named, since a lane's process gets it in a pickle."""

    directory: Path

    def __call__(self, _: Path) -> Starter:
        return lambda spec: cast(Stack, SlowToEnd(spec, self.directory))


def run_watched(pipe: Connection, order: LaneOrder, number: int) -> None:
    """A lane that says when it begins to undo."""

    class Telling(Pool):
        def close(self) -> None:
            (order.directory / "undoing").touch()
            super().close()

    vars(lane_module)["Pool"] = Telling  # in this process alone, which is the lane's
    run_lane(pipe, order, number)


def replay(_: Plan) -> str:
    return ""


def scenario(_: Experiment) -> None:
    raise AssertionError("no stack starts")


def test_a_lane_undoes_everything_also_when_it_is_interrupted_in_the_middle_of_it(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    order = LaneOrder(
        choice=Choice("doubles", "", Making(tmp_path)),
        directory=tmp_path,
        seed=1,
        replay=replay,
        app_dir=None,
        parent=os.getpid(),
    )
    lane = multiprocessing.get_context("spawn").Process(target=run_watched, args=(theirs, order, 1))
    lane.start()
    theirs.close()
    ours.send(Job(plan=Plan(Row(id="A", title="nothing")), scenario=scenario, test="t"))
    ours.send(None)
    undoing = tmp_path / "undoing"
    wait_for(undoing.exists, awaiting="the lane to undo", timeout_s=PATIENCE_S)
    assert lane.pid is not None
    os.kill(lane.pid, signal.SIGINT)
    (tmp_path / "may_end").touch()
    lane.join(PATIENCE_S)
    ours.close()
    assert (lane.exitcode, (tmp_path / "ended").exists()) == (0, True)
