"""A lab with one real lane that has nothing to play; says the lane's pid, and waits to be killed."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from harness.clock import pause
from harness.drivers.choice import choose
from harness.rows.plan import Plan
from harness.run.lane import LaneOrder, run_lane

FOREVER_S = 60.0


def replay(_: Plan) -> str:
    """Nothing is replayed here."""
    return ""


def run_holding(_: Connection, theirs: Connection, order: LaneOrder) -> None:
    """A lane with a copy of the parent's end of its pipe, so that it cannot end because that closes."""
    run_lane(theirs, order, 1)


def main() -> None:
    """Start the lane, say which process it is, wait."""
    ours, theirs = multiprocessing.Pipe()
    order = LaneOrder(
        choice=choose("processes"),
        directory=Path(tempfile.mkdtemp()),
        seed=1,
        replay=replay,
        app_dir=None,
        parent=os.getpid(),
    )
    lane = multiprocessing.get_context("spawn").Process(target=run_holding, args=(ours, theirs, order))
    lane.start()
    print(lane.pid, flush=True)
    pause(FOREVER_S)


if __name__ == "__main__":
    main()
