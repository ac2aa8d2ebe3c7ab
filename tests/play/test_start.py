"""A start of the stack to play with: one at a time, and nothing is left of one that failed or was interrupted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from harness.commands import up
from harness.errors import LabError, WaitTimeout
from harness.play import place
from harness.play.round import Order

ORDER = Order(driver="processes", phones=2, samples=300, pace_s=0.05, seed=7)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(place, "play_home", lambda: tmp_path)
    monkeypatch.setattr(up, "KEEPER", "tests.play.keeper_double")
    return tmp_path


class Told:
    """A console that acts on what the keeper says."""

    def __init__(self, on_begun: Callable[[], None]) -> None:
        self._on_begun = on_begun

    def print(self, line: str) -> None:
        if line == "begun":
            self._on_begun()


def begin(on_begun: Callable[[], None]) -> None:
    up._start(ORDER, cast(Console, Told(on_begun)))


def test_an_interrupted_start_undoes_what_it_began(home: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(interrupt)
    assert (home / place.LOG_FILE).read_text() == "begun\nundone\n"
    assert not place.is_claimed()


def test_a_start_that_takes_too_long_undoes_what_it_began(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out() -> None:
        raise WaitTimeout(awaiting="the stack", waited_s=1.0, seen="")

    with pytest.raises(WaitTimeout):
        begin(run_out)
    assert (home / place.LOG_FILE).read_text() == "begun\nundone\n"


def test_a_second_start_leaves_the_first_alone(home: Path) -> None:
    seen: list[Any] = []

    def meanwhile() -> None:
        with pytest.raises(LabError, match="is being started or ended just now"):
            begin(lambda: None)
        with pytest.raises(LabError, match="is being started or ended just now"):
            place.require()
        seen.append((home / place.LOG_FILE).read_text())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin(meanwhile)
    assert seen == ["begun\n"]


def test_the_place_is_taken_for_as_long_as_the_keeper_lives() -> None:
    with place.claim() as lock:
        keeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock.fileno(),))
    with keeper:
        assert place.is_claimed()
        keeper.kill()
    assert not place.is_claimed()
    place.claim().close()
