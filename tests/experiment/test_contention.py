"""Contention: the share that the kernel's scheduler tells, over the threads that live."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.experiment.contention import LEAST_RAN_NS, Contention


def _thread(threads: Path, number: int, *, ran_ns: int, waited_ns: int) -> None:
    (threads / str(number)).mkdir(exist_ok=True)
    (threads / str(number) / "schedstat").write_text(f"{ran_ns} {waited_ns} 7\n")


def test_it_is_what_was_waited_beside_what_ran_since_the_beginning(tmp_path: Path) -> None:
    _thread(tmp_path, 1, ran_ns=5 * LEAST_RAN_NS, waited_ns=900 * LEAST_RAN_NS)
    contention = Contention(tmp_path)
    _thread(tmp_path, 1, ran_ns=7 * LEAST_RAN_NS, waited_ns=904 * LEAST_RAN_NS)
    _thread(tmp_path, 2, ran_ns=LEAST_RAN_NS, waited_ns=2 * LEAST_RAN_NS)
    assert contention.stretch() == (3 + 6) / 3


def test_a_thread_that_ended_is_left_out(tmp_path: Path) -> None:
    _thread(tmp_path, 1, ran_ns=0, waited_ns=0)
    (tmp_path / "2").mkdir()
    contention = Contention(tmp_path)
    _thread(tmp_path, 1, ran_ns=2 * LEAST_RAN_NS, waited_ns=LEAST_RAN_NS)
    assert contention.stretch() == 1.5


def test_too_little_to_tell_is_an_idle_machine(tmp_path: Path) -> None:
    contention = Contention(tmp_path)
    _thread(tmp_path, 1, ran_ns=LEAST_RAN_NS - 1, waited_ns=100 * LEAST_RAN_NS)
    assert contention.stretch() == 1.0
    assert Contention(tmp_path / "a kernel that does not tell").stretch() == 1.0


def test_the_kernel_tells_of_somebody_on_the_same_core() -> None:
    core = min(os.sched_getaffinity(0))
    command = [
        sys.executable,
        "-c",
        f"import os; os.sched_setaffinity(0, {{{core}}}); print('at it', flush=True)\nwhile True: pass",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other, ThreadPoolExecutor(1) as pool:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"at it\n"
            assert pool.submit(_stretch_on, core).result() > 1.2
        finally:
            other.kill()


def _stretch_on(core: int) -> float:
    """Of a thread that is busy on this core for a while."""
    os.sched_setaffinity(0, {core})
    contention = Contention()
    begun = time.thread_time_ns()
    while time.thread_time_ns() - begun < 4 * LEAST_RAN_NS:
        sum(range(1000))
    return contention.stretch()
