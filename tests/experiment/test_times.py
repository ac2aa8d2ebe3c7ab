"""Times: the order that the design rests on, and deadlines that follow from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.times import (
    LAB,
    LAB_ENV,
    MOST_CROWDING,
    Pace,
    Recovery,
    Times,
    order_problems,
    quiesce_deadline_s,
    takeover_s,
)


@pytest.mark.parametrize("times", [Times(), LAB], ids=["production", "lab"])
def test_both_columns_are_in_order(times: Times) -> None:
    assert order_problems(times) == ()


@pytest.mark.parametrize(
    ("times", "hold_s", "named"),
    [
        pytest.param(LAB, 6.5, "tripwire hold", id="hold"),
        pytest.param(replace(LAB, lock_timeout_s=9.5), 0.0, "lock timeout", id="lock"),
        pytest.param(replace(LAB, idle_in_transaction_timeout_s=11.0), 0.0, "idle-in-transaction", id="idle"),
        pytest.param(replace(LAB, claim_timeout_s=20.0), 0.0, "claim timeout", id="claim"),
        pytest.param(replace(LAB, chunk_soft_limit_s=9.0), 0.0, "chunk soft limit", id="soft limit"),
        pytest.param(replace(LAB, chunk_hard_limit_s=10.0), 0.0, "chunk hard limit", id="hard limit"),
        pytest.param(replace(LAB, soft_shutdown_s=4.0), 0.0, "soft shutdown window", id="window"),
        pytest.param(replace(LAB, beat_renew_s=3.0), 0.0, "beat renewal", id="beat"),
    ],
)
def test_a_broken_order_is_named(times: Times, hold_s: float, named: str) -> None:
    problems = order_problems(times, hold_s=hold_s)
    assert len(problems) == 1
    assert problems[0].startswith(named)


def test_env_and_times_say_the_same() -> None:
    assert Times().changed_by(LAB_ENV) == LAB
    assert LAB_ENV["CHUNK_RETRY_DELAYS_S"] == "1,2,4"
    assert LAB_ENV["REMAP_SIGTERM"] == "SIGQUIT"


def test_a_dead_holder_is_taken_over_sooner_than_one_that_is_cut_off() -> None:
    assert takeover_s(LAB, Recovery.HOLDER_DIED) == 2.5
    assert takeover_s(LAB, Recovery.HOLDER_CUT_OFF) == 12.0


def test_the_deadline_follows_the_control_of_this_run() -> None:
    slow, fast = Pace(work_s=20, quiesce_s=10, samples=1000), Pace(work_s=2, quiesce_s=1, samples=1000)

    def deadline(pace: Pace, *, samples: int = 1000, outage_s: float = 0.0) -> float:
        return quiesce_deadline_s(LAB, Recovery.HOLDER_DIED, pace=pace, samples=samples, outage_s=outage_s)

    assert deadline(slow) == 2.5 + 90
    assert deadline(fast) == 2.5 + 9
    assert deadline(slow, samples=500) == 2.5 + 45
    assert deadline(slow, samples=1) == 2.5 + 22.5
    assert deadline(fast, outage_s=3.0) == 2.5 + 9 + 7


def test_a_machine_more_crowded_than_during_the_control_gets_more_time() -> None:
    pace = Pace(work_s=20, quiesce_s=10, samples=1000, stretch=2.0)
    assert pace.allowance_s(1000, stretch=2.0) == pace.allowance_s(1000, stretch=1.0) == 90
    assert pace.allowance_s(1000, stretch=6.0) == 3 * 90
    assert pace.allowance_s(1000, stretch=1e6) == MOST_CROWDING * 90
    assert quiesce_deadline_s(LAB, Recovery.NONE, pace=pace, samples=1000, outage_s=0.0, stretch=6.0) == 3 * 90
