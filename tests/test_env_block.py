"""A service that there is not has no environment that could be changed; both drivers say so in the same way."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

import pytest

from harness.drivers.containers import ContainersStack
from harness.drivers.processes import ProcessesStack
from harness.drivers.protocol import Stack, StackSpec
from harness.errors import DriverError


@pytest.fixture(params=["containers", "processes"])
def stack(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Not started, and not to be."""
    if request.param == "processes":
        return ProcessesStack(StackSpec(), directory=tmp_path)
    monkeypatch.setattr("harness.drivers.containers.require_engine", lambda: None)
    monkeypatch.setattr("harness.drivers.containers.connect", MagicMock())
    return ContainersStack(StackSpec(), directory=tmp_path)


def test_the_environment_of_nobody_cannot_be_changed(stack: Stack) -> None:
    with pytest.raises(DriverError, match="'nobody' has no environment block"):
        stack.change_env("nobody", {"A": "1"})
    with pytest.raises(DriverError, match="'nobody' has no environment block"):
        stack.restore_env("nobody")
