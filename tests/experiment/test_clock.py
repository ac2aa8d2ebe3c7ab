"""Waiting: a deadline that is asked again when it is up."""

from __future__ import annotations

import pytest

from harness.clock import wait_for
from harness.errors import WaitTimeout


def test_what_comes_in_time_is_returned() -> None:
    looks = iter([None, 0, "there"])
    assert wait_for(lambda: next(looks), awaiting="it", timeout_s=60.0, interval_s=0.0) == "there"


def test_time_is_up_with_what_was_seen_last() -> None:
    with pytest.raises(WaitTimeout, match=r"the moon; seen last:\ndark"):
        wait_for(lambda: None, awaiting="the moon", timeout_s=0.0, seen=lambda: "dark")


def test_who_says_how_long_is_asked_again_when_the_time_is_up() -> None:
    answers = iter([0.0, 0.05, 0.0])
    looks: list[int] = []
    with pytest.raises(WaitTimeout):
        wait_for(lambda: looks.append(1), awaiting="it", timeout_s=lambda: next(answers), interval_s=0.01)
    assert len(looks) > 1
    assert next(answers, None) is None


def test_more_time_on_asking_is_enough() -> None:
    answers = iter([0.0, 60.0])
    looks = iter([False, False, True])
    assert wait_for(lambda: next(looks), awaiting="it", timeout_s=lambda: next(answers), interval_s=0.0)
