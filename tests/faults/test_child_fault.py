"""The stopped pool child, on real processes: it alone stands still, goes on when healed, and may be gone by then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from harness.clock import wait_for
from harness.drivers import proc_table
from harness.drivers.protocol import Process, Stack, State
from harness.faults.child import FreezeChild

POOL = """
import os, signal
for _ in range(2):
    if not os.fork():
        while True:
            signal.pause()
print("forked", flush=True)
while True:
    signal.pause()
"""
PATIENCE_S = 10.0


@dataclass
class OnlyWorker:
    """As much of a stack as this fault asks for: a main process with two children."""

    main: int

    def processes(self, _name: str) -> tuple[Process, ...]:
        table = proc_table.snapshot()
        pids = sorted(proc_table.descendants(table, [self.main]), key=lambda pid: (pid != self.main, pid))
        return tuple(Process(pid, table[pid].parent_pid, table[pid].state, "") for pid in pids)

    def signal_process(self, _name: str, pid: int, signum: int) -> None:
        os.kill(pid, signum)

    def state(self, _name: str) -> State:
        return State.HEALTHY

    def states(self) -> list[str]:
        return [each.state for each in self.processes("worker-1")]


@pytest.fixture
def worker() -> Iterator[OnlyWorker]:
    with subprocess.Popen([sys.executable, "-c", POOL], stdout=subprocess.PIPE, start_new_session=True) as popen:
        assert popen.stdout is not None
        assert popen.stdout.readline() == b"forked\n"
        yield OnlyWorker(popen.pid)
        os.killpg(popen.pid, signal.SIGKILL)


def see(probe: Callable[[], bool], awaiting: str, worker: OnlyWorker) -> None:
    wait_for(probe, awaiting=awaiting, timeout_s=PATIENCE_S, seen=lambda: str(worker.states()))


def frozen(worker: OnlyWorker) -> FreezeChild:
    """Inject, and see the receipt's two readings differ as the fault says."""
    stack = cast(Stack, worker)
    fault = FreezeChild("worker-1", pid=worker.processes("worker-1")[1].pid)
    before = fault.look(stack)
    assert before.endswith("runs")
    assert not fault.has_bitten(before=before, now=before)
    fault.inject(stack)
    see(lambda: fault.has_bitten(before=before, now=fault.look(stack)), "the bite", worker)
    assert not fault.is_whole(stack)
    return fault


def test_bites_that_child_alone(worker: OnlyWorker) -> None:
    frozen(worker)
    main, stopped, sibling = worker.states()
    assert stopped == "T"
    assert "T" not in (main, sibling)


def test_heals_by_letting_it_go_on(worker: OnlyWorker) -> None:
    fault = frozen(worker)
    fault.heal(cast(Stack, worker))
    fault.heal(cast(Stack, worker))
    see(lambda: fault.is_whole(cast(Stack, worker)), "the child at work again", worker)
    assert "T" not in worker.states()


def test_a_child_that_was_ended_meanwhile_needs_no_heal_and_is_no_bite(worker: OnlyWorker) -> None:
    fault = frozen(worker)
    os.kill(fault.pid, signal.SIGKILL)
    see(lambda: fault.look(cast(Stack, worker)).endswith("is gone"), "the end of the child", worker)
    fault.heal(cast(Stack, worker))
    assert fault.is_whole(cast(Stack, worker))
    assert not fault.has_bitten(before="pool child 1 of worker-1 runs", now=fault.look(cast(Stack, worker)))
