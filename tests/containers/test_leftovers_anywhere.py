"""The next start of any lab, with either driver, undoes a dead one's containers; and asks no engine for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from harness.drivers.container import leftovers
from harness.drivers.container.leftovers import JOURNAL_KIND
from harness.drivers.leftovers import journal_path
from harness.drivers.processes import ProcessesStack
from harness.drivers.protocol import StackSpec
from harness.lab_home import StoreHome


class Started(Exception):
    """The stack has come past what it undoes first."""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessesStack:
    """A stack that begins to start in a home of its own, and comes no further than its journal."""
    (tmp_path / "journal").mkdir()
    monkeypatch.setattr("harness.drivers.processes.lab_home", lambda: tmp_path)
    monkeypatch.setattr("harness.drivers.processes.store_home", lambda home: StoreHome(directory=home, user=None))
    monkeypatch.setattr("harness.drivers.processes.Journal", MagicMock(side_effect=Started))
    return ProcessesStack(StackSpec(), directory=tmp_path / "run")


def note(home: Path, kind: str) -> Path:
    path = journal_path(home, "dead")
    path.write_text(json.dumps({"kind": kind, "stack": "dead", "path": str(home / "lair")}) + "\n")
    return path


def test_a_start_without_containers_removes_those_of_a_dead_lab(
    stack: ProcessesStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    monkeypatch.setattr(leftovers, "engine_problem", lambda: None)
    monkeypatch.setattr(leftovers, "connect", MagicMock())
    monkeypatch.setattr(leftovers, "stacks", lambda _, home: ())
    monkeypatch.setattr(leftovers, "remove_stack", lambda _, name: removed.append(name))
    path = note(tmp_path, JOURNAL_KIND)
    with pytest.raises(Started):
        stack.start()
    assert removed == ["dead"]
    assert not path.exists()


def test_no_engine_is_looked_for_when_no_journal_speaks_of_containers(
    stack: ProcessesStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = MagicMock(return_value="none answers")
    monkeypatch.setattr(leftovers, "engine_problem", asked)
    path = note(tmp_path, "directory")
    with pytest.raises(Started):
        stack.start()
    assert not path.exists()
    asked.assert_not_called()
