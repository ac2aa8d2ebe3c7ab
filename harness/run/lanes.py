"""Lanes side by side: jobs are handed out in order, and what the lanes tell is passed on from one thread, this one."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

from harness.errors import LabError
from harness.events import Listener
from harness.rows.plan import Plan
from harness.run.lane import Job, LaneOrder, LaneProgram, Played, run_lane
from harness.times import Pace

END_TIMEOUT_S: Final = 300.0
"""How long a lane may take to undo what it has begun; every step of it is bounded by itself."""
MOST: Final = 4
ORDERLY: Final = (0, -signal.SIGINT)
"""A lane that is interrupted before it has begun anything ends by the signal."""


def usual_lanes(driver: str) -> int:
    """One per core, since about half of a scenario is waiting; for containers, which cost more, one per two cores.

    No more than what a laptop's memory holds.
    """
    cores = os.cpu_count() or 1
    return min(max(1, cores // 2) if driver == "containers" else cores, MOST)


@dataclass(slots=True)
class _Lane:
    """A lane as seen from here, and what it plays now."""

    process: SpawnProcess
    pipe: Connection
    now: Job | None = None


@dataclass(slots=True, kw_only=True)
class Lanes:
    """At most `count` scenarios at a time. Not for several threads; `close` ends and undoes everything."""

    order: LaneOrder
    count: int
    listener: Listener
    on_begun: Callable[[Job], None]
    on_played: Callable[[Job, Played], None]
    run: LaneProgram = run_lane
    pace: Pace | None = None
    _waiting: deque[Job] = field(default_factory=deque)
    _lanes: list[_Lane] = field(default_factory=list)
    _failures: dict[str, str] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)
    _given_up: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, jobs: Sequence[Job]) -> None:
        """Queue more jobs; they begin as lanes are free, in this order. None after `give_up`."""
        if self._given_up:
            self._failures.update((job.plan.slug(), self._given_up) for job in jobs)
            return
        self._waiting.extend(jobs)
        self._open.update(job.plan.slug() for job in jobs)
        while len(self._lanes) < min(self.count, len(self._open)):
            self._lanes.append(self._started())
        self._hand_out()

    def wait_for(self, plan: Plan) -> None:
        """Pass on what lanes tell until this plan has been played.

        Raises: LabError when its lane died, or when it was given up; what lanes raise is in their records.
        """
        while plan.slug() in self._open:
            for ready in wait([lane.pipe for lane in self._lanes if lane.now is not None]):
                self._hear(next(lane for lane in self._lanes if lane.pipe is ready))
        if plan.slug() in self._failures:
            raise LabError(self._failures[plan.slug()])

    def give_up(self, why: str) -> None:
        """Begin nothing more, nor what is added later; `wait_for` raises `why` for what was not begun."""
        self._given_up = why
        self._failures.update((job.plan.slug(), why) for job in self._waiting)
        self._open.difference_update(job.plan.slug() for job in self._waiting)
        self._waiting.clear()

    def close(self) -> None:
        """End all lanes; one that plays is interrupted and undoes what it has begun.

        Raises: LabError when a lane does not end, or fails to undo something.
        """
        for lane in self._lanes:
            if lane.now is not None and lane.process.pid is not None and lane.process.is_alive():
                os.kill(lane.process.pid, signal.SIGINT)
            else:
                with suppress(OSError):  # It may just have died.
                    lane.pipe.send(None)
        stuck, failed = [], []
        for number, lane in enumerate(self._lanes, start=1):
            while lane.process.is_alive() and lane.pipe.poll(END_TIMEOUT_S):
                try:
                    lane.pipe.recv()  # A lane that tells something must not wait for a reader.
                except (EOFError, OSError):
                    break
            lane.process.join(END_TIMEOUT_S)
            if lane.process.is_alive():
                stuck.append(number)
                lane.process.kill()
            elif lane.process.exitcode not in ORDERLY:
                failed.append(f"{number} ({lane.process.exitcode})")
            lane.pipe.close()
        self._lanes.clear()
        if failed:
            raise LabError(f"lanes failed to undo what they had begun: {', '.join(failed)}; their words are above")
        if stuck:
            raise LabError(f"lanes {stuck} did not end within {END_TIMEOUT_S:.0f} s; the next start undoes the rest")

    def _started(self) -> _Lane:
        number = next(self._numbers)
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=self.run, args=(theirs, self.order, number), name=f"lane-{number}"
        )
        process.start()
        theirs.close()
        return _Lane(process, ours)

    def _hand_out(self) -> None:
        """Give each free lane its next job.

        A lane by itself also learns what follows, and prepares the stack while it waits; where several share the
        machine, another one has the use of that time.
        """
        for lane in self._lanes:
            if lane.now is None and self._waiting:
                job = self._waiting.popleft()
                following = self._waiting[0].plan if self._waiting and self.count == 1 else None
                lane.now = replace(job, following=following, pace=self.pace)
                self.on_begun(lane.now)
                lane.pipe.send(lane.now)

    def _hear(self, lane: _Lane) -> None:
        job = lane.now
        if job is None:
            return
        try:
            told = lane.pipe.recv()
        except (EOFError, OSError):
            self._bury(lane, job)
            return
        if not isinstance(told, Played):
            self.listener.on_event(told)
            return
        lane.now = None
        self.pace = told.pace
        self._open.discard(job.plan.slug())
        self.on_played(job, told)
        self._hand_out()

    def _bury(self, lane: _Lane, job: Job) -> None:
        """Its job failed with it; a new lane takes its place."""
        lane.process.join()
        self._failures[job.plan.slug()] = f"the lane that played {job.plan.label()} died ({lane.process.exitcode})"
        self._open.discard(job.plan.slug())
        lane.pipe.close()
        self._lanes[self._lanes.index(lane)] = self._started()
        self._hand_out()
