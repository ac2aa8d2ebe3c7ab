"""The socket between commands and the keeper."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from harness.errors import LabError
from harness.play.channel import Say, ask, serving


@pytest.fixture
def path() -> Iterator[Path]:
    with TemporaryDirectory(prefix="chaoslab-") as folder:
        yield Path(folder) / "s"


def answer(request: Mapping[str, Any], say: Say) -> Mapping[str, Any]:
    if request["do"] == "fail":
        raise LabError("as asked")
    say("first")
    say("second")
    return {"got": request["do"]}


def test_notes_and_then_the_answer(path: Path) -> None:
    heard: list[str] = []
    with serving(path, answer):
        assert ask(path, {"do": "it"}, say=heard.append, timeout_s=60.0) == {"got": "it"}
    assert heard == ["first", "second"]


def test_a_failure_is_told(path: Path) -> None:
    with serving(path, answer), pytest.raises(LabError, match="as asked"):
        ask(path, {"do": "fail"}, say=print, timeout_s=60.0)


def test_only_this_user_may_open_it(path: Path) -> None:
    with serving(path, answer):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_nobody_listens(path: Path) -> None:
    with pytest.raises(LabError, match="does not answer"):
        ask(path, {"do": "it"}, say=print, timeout_s=60.0)


def test_silence_is_bounded(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        with pytest.raises(LabError, match="said nothing for 0 s"):
            ask(path, {"do": "it"}, say=print, timeout_s=0.2)
