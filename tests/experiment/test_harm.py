"""Whether a stack is as new after its faults, so that the next scenario may have it."""

from __future__ import annotations

from typing import cast

import pytest

from harness.clock import utc_now
from harness.drivers.protocol import Process, Stack
from harness.faults.config import ChangeEnv
from harness.faults.fault import Fault
from harness.faults.process import FreezeReplica, KillChild, KillReplica, StopReplica
from harness.harm import Harm


class Double:
    """A stack in which everything runs."""

    def processes(self, name: str) -> tuple[Process, ...]:
        return (Process(1, 0, "S", "it", 77),)


KILLED = KillReplica("worker-1")


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        pytest.param((), True, id="nothing was harmed"),
        pytest.param((KILLED, StopReplica("api-1", timeout_s=5.0)), True, id="services started anew"),
        pytest.param((ChangeEnv("beat-1", {"A": "1"}),), True, id="started anew with its old environment"),
        pytest.param((KillReplica("redis"),), False, id="a store was killed"),
        pytest.param((FreezeReplica("worker-1"),), False, id="a frozen worker lives on"),
        pytest.param((KillChild("worker-1", pid=1),), False, id="the main process of a killed child lives on"),
        pytest.param((KILLED, FreezeReplica("worker-2")), False, id="one of two lives on"),
    ],
)
def test_a_stack_is_as_new_when_all_that_was_harmed_was_started_anew(faults: tuple[Fault, ...], expected: bool) -> None:
    harm = Harm(stack=cast(Stack, Double()), say=lambda _: None)
    for fault in faults:
        harm.adopt(fault, before="", since=utc_now())
    assert harm.leaves_as_new() is expected
