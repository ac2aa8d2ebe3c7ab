"""What lanes run in these tests instead of stacks: each job does what its row's title says."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from harness.clock import pause, wait_for
from harness.events import NoteEvent
from harness.interrupt import interruptible
from harness.rows.plan import Plan
from harness.run.lane import Job, LaneOrder, Played
from harness.run_record import ScenarioRecord
from harness.times import Pace
from harness.verdict import Verdict

FOREVER_S = 60.0
DURATION_S = 5_000.0  # as the records have it; nothing here takes so long


def run_double(pipe: Connection, order: LaneOrder, number: int) -> None:
    """As `run_lane`, without stacks: leaves `<slug>.<what>` in the run's directory for what it did."""
    has_left_something = False
    with interruptible(), suppress(KeyboardInterrupt, EOFError):
        while True:
            job: Job | None = pipe.recv()
            if job is None and has_left_something:
                raise SystemExit("something cannot be undone")
            if job is None:
                (order.directory / f"lane-{number}.ended").touch()
                return
            has_left_something |= job.plan.row.title == "cannot be undone"
            pipe.send(
                Played(
                    _play(pipe, job, order.directory),
                    job.pace or Pace(work_s=1.0, quiesce_s=1.0, samples=1),
                    {"lane": str(number)},
                )
            )


def _play(pipe: Connection, job: Job, directory: Path) -> ScenarioRecord:
    slug, what = job.plan.slug(), job.plan.row.title
    following = job.following.slug() if job.following else "nothing"
    pipe.send(NoteEvent(job.plan.label(), f"then {following}, pace {'known' if job.pace else 'unknown'}"))
    (directory / f"{slug}.begun").touch()
    match what.split():
        case ["dies"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["waits", "for", other]:
            wait_for((directory / f"{other}.begun").exists, awaiting=other, timeout_s=FOREVER_S)
        case ["hangs"]:
            try:
                pause(FOREVER_S)
            except KeyboardInterrupt:
                (directory / f"{slug}.undone").touch()
                raise
    verdict = Verdict.INCONCLUSIVE if what == "cannot tell" else Verdict.VALID
    return replace(record_of(job.plan), verdict=verdict, heal_failed=what == "cannot be healed")


def record_of(plan: Plan) -> ScenarioRecord:
    """A record of a plan that went well."""
    return ScenarioRecord(
        row=plan.row, test="", planted=None, faulted=True, nets_removed=(), wrong_without_fault=False,
        expected="VALID", verdict=Verdict.VALID, duration_s=DURATION_S, phases_s={}, faults=(), counts={}, witnesses={},
        anomalies=(), doubts=(), recovery_s={}, replay="", times={}, directory=plan.slug(),
    )  # fmt: skip
