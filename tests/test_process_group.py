"""A replica as a group of processes: what it was started with, and what is said of one that is down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import pause, wait_for
from harness.drivers import proc_table
from harness.drivers.leftovers import LAB_VARIABLE, Journal
from harness.drivers.process.group import Launch, ProcessGroup
from harness.drivers.protocol import Scope
from harness.errors import DriverError

PATIENCE_S = 30.0


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with closing(Journal(lab="grouped", home=tmp_path)) as journal:
        group = ProcessGroup("sleeper", journal=journal)
        yield group
        if group.is_running:
            group.kill()


def sleeper(directory: Path) -> Launch:
    return Launch(
        command=("sleep", "60"),
        env={"PATH": os.defpath, LAB_VARIABLE: "grouped"},
        directory=directory / "sleeper",
        log=directory / "sleeper.log",
    )


def test_the_environment_is_read_when_the_kernel_has_laid_the_program_out(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, looks = proc_table.environment, []

    def too_early(pid: int) -> frozenset[bytes]:
        looks.append(pid)
        return frozenset() if len(looks) < 3 else read(pid)

    monkeypatch.setattr(proc_table, "environment", too_early)
    group.start(sleeper(tmp_path))
    assert group.environment[LAB_VARIABLE] == "grouped"


def test_what_ends_at_once_has_no_environment_and_is_not_waited_for(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proc_table, "environment", lambda pid: frozenset())
    launch = Launch(command=("true",), env={"PATH": os.defpath}, directory=tmp_path / "true", log=tmp_path / "true.log")
    group.start(launch)
    assert group.environment == {}


def test_what_writes_over_its_environment_is_not_waited_for(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis does so for its title, Postgres too; often before one can look."""
    monkeypatch.setattr(proc_table, "_read", lambda pid, name: b"\0" * 64)
    group.start(sleeper(tmp_path))
    assert group.environment == {}


def test_what_may_not_be_read_is_not_waited_for(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment of another account's process, in a container that has not CAP_SYS_PTRACE."""
    content = proc_table._content

    def refuse(path: str, *, is_line: bool = False) -> bytes:
        if path.endswith("/environ"):
            raise PermissionError(path)
        return content(path, is_line=is_line)

    monkeypatch.setattr(proc_table, "_content", refuse)
    group.start(sleeper(tmp_path))
    assert group.environment == {}


@pytest.mark.parametrize(("scope", "is_killed"), [(Scope.MAIN, True), (Scope.GROUP, False)])
def test_a_stop_of_the_group_reaches_children_too(
    group: ProcessGroup, tmp_path: Path, scope: Scope, is_killed: bool
) -> None:
    """A shell hears its trap only when its child has ended."""
    group.start(replace(sleeper(tmp_path), command=("sh", "-c", "trap : TERM; sleep 60; exit 0")))
    wait_for(lambda: len(group.members()) > 1, awaiting="the child to be there", timeout_s=PATIENCE_S)
    end = group.stop(15, timeout_s=1.0 if is_killed else PATIENCE_S, scope=scope)
    assert end.killed is is_killed


def test_of_one_that_was_killed_the_exit_is_told_however_early_one_asks(
    group: ProcessGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcessGroup, "_kill_remains", lambda group, session: pause(0.2))
    group.start(sleeper(tmp_path))
    (main,) = group.members()
    os.kill(main.pid, 9)
    wait_for(lambda: not group.members(), awaiting="the end of sleep", timeout_s=PATIENCE_S, interval_s=0.001)
    with pytest.raises(DriverError, match=r"sleeper is down: Exit\(code=137"):
        group.signal(15, scope=Scope.MAIN)
