"""A machine that stood still makes what is late doubtful; a crowded one, or a short sleep, makes nothing so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from harness.anomaly import TIMED, Anomaly, Kind
from harness.clock import utc_now
from harness.experiment.life import _Findings
from harness.experiment.standstill import INTERVAL_S, LEAST_S, Standstill, StandstillWatch

WATCHING = """
from harness.clock import wait_for
from harness.experiment.standstill import StandstillWatch
watch = StandstillWatch()
watch.start()
print("watching", flush=True)
print(wait_for(lambda: watch.seen, awaiting="a standstill", timeout_s=60)[0].lasted_s)
"""
STOPPED_S = 2.5


@pytest.mark.parametrize(
    ("slept_s", "waited_s", "is_one"),
    [
        (INTERVAL_S, 0.0, False),
        (INTERVAL_S + LEAST_S - 0.01, 0.0, False),
        (INTERVAL_S + LEAST_S, 0.0, True),
        (INTERVAL_S + 5.0, 4.5, False),
        (INTERVAL_S + 5.0, 1.0, True),
    ],
    ids=["as it should", "short", "long", "crowded", "both"],
)
def test_what_is_a_standstill(slept_s: float, waited_s: float, is_one: bool) -> None:
    watch = StandstillWatch()
    watch.note(slept_s=slept_s, waited_s=waited_s)
    assert [round(each.lasted_s + waited_s + INTERVAL_S, 3) for each in watch.seen] == [slept_s] * is_one


def test_a_process_that_was_stopped_has_seen_it() -> None:
    """SIGSTOP to the watching process stands in for a machine that stops."""
    with subprocess.Popen([sys.executable, "-c", WATCHING], stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "watching\n"
        os.kill(watching.pid, signal.SIGSTOP)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                watching.wait(STOPPED_S)
        finally:
            os.kill(watching.pid, signal.SIGCONT)
        assert float(watching.stdout.read()) >= LEAST_S


def test_what_is_timed_is_doubted_and_what_became_of_data_is_not() -> None:
    found = _Findings(anomalies=[Anomaly(kind, f"it is {kind}") for kind in Kind])
    found.doubt_what_is_timed([])
    assert (len(found.anomalies), found.doubts) == (len(Kind), [])
    found.doubt_what_is_timed([Standstill(until=utc_now(), lasted_s=length) for length in (1.5, 5.2)])
    assert {each.kind for each in found.anomalies} == set(Kind) - TIMED
    assert len(found.doubts) == len(TIMED)
    assert all(each.startswith("the machine stood still for 5.2 s until 20") for each in found.doubts)
