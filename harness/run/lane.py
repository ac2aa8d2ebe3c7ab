"""A lane: a process of its own that plays plans one after another, each on a stack of the lane's own pool.

Scenarios mostly wait: for timeouts, for services to come up. So several lanes play side by side; as processes, since
phones and checkers of two scenarios would else share one interpreter's time, and a scenario's clock would suffer.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from harness.drivers.choice import Choice
from harness.drivers.pool import Pool
from harness.events import Event
from harness.experiment.life import Scenario, Session, play
from harness.interrupt import interruptible
from harness.rows.plan import Plan
from harness.run_record import ScenarioRecord
from harness.times import Pace

PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOrder:
    """What all lanes of one run have in common; `parent` is the process that they end with."""

    choice: Choice
    directory: Path
    seed: int
    replay: Callable[[Plan], str]
    app_dir: Path | None
    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One plan to play: its function, pytest's name for it, what is played after it, and the control's pace."""

    plan: Plan
    scenario: Scenario
    test: str
    following: Plan | None = None
    pace: Pace | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """How a job ended. `pace` is the control's, `versions` are those of what ran."""

    record: ScenarioRecord
    pace: Pace | None
    versions: dict[str, str]


LaneProgram = Callable[[Connection, LaneOrder, int], None]
"""What a lane's process runs: given its end of the pipe, the order, and its number."""


@dataclass(frozen=True, slots=True)
class _Teller:
    """Tells the parent what happens here."""

    pipe: Connection

    def on_event(self, event: Event) -> None:
        """Send it. A parent that is gone hears nothing; the kernel ends this process with it."""
        with suppress(OSError):
            self.pipe.send(event)


def run_lane(pipe: Connection, order: LaneOrder, number: int) -> None:
    """The lane's main program: play jobs from the pipe until it gives None, or an interrupt; undo everything then."""
    _end_with(order.parent)
    with (
        interruptible() as interrupts,
        closing(Pool(make=order.choice.maker(order.directory / "stacks" / f"lane-{number}"))) as pool,
        suppress(KeyboardInterrupt, EOFError),
    ):
        session = Session(
            pool=pool,
            driver=order.choice.name,
            directory=order.directory,
            seed=order.seed,
            listener=_Teller(pipe),
            replay=order.replay,
            app_dir=order.app_dir,
        )
        try:
            _play_jobs(pipe, session)
        finally:
            interrupts.undo()


def _play_jobs(pipe: Connection, session: Session) -> None:
    while True:
        job: Job | None = pipe.recv()
        if job is None:
            return
        session.pace = job.pace
        record = play(job.scenario, plan=job.plan, session=session, test=job.test, following=job.following)
        pipe.send(Played(record, session.pace, session.versions))


def _end_with(parent: int) -> None:
    """Out of the terminal's reach, whose Ctrl-C the parent passes on once; killed when the parent is killed.

    Whoever kills the parent so finds all of its lanes' stacks without a harness, and the next start undoes them.
    """
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the lab ended before its lane began")
