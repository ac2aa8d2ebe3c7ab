"""What the doctor finds missing on a machine."""

from __future__ import annotations

import shutil

import pytest

from harness.doctor.machine import look_around


@pytest.mark.parametrize(("name", "remedy"), [("git", "apt-get install git"), ("mmdebstrap", ".ci/engine does")])
def test_a_program_that_is_missing(name: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told with its remedy, and nothing is called unwell for it."""
    monkeypatch.setattr(shutil, "which", lambda program: None if program == name else f"/usr/bin/{program}")
    (part,) = [each for each in look_around() if each.problem and each.name == name]
    assert remedy in part.problem
    assert not part.is_needed


def test_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    parts = {each.name: each for each in look_around()}
    assert [name for name in ("git", "mmdebstrap", "redis-server") if parts[name].problem] == []
