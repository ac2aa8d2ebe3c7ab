"""Nothing survives the next start: a harness is killed in several phases, and only what it started is ended."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.clock import wait_for
from harness.drivers import proc_table
from harness.drivers.leftovers import LAB_VARIABLE, Journal, Undone, undo_leftovers
from harness.drivers.process.embedded import running_redis
from harness.drivers.process.embedded_postgres import PostgresTemplate
from harness.drivers.process.group import Launch, ProcessGroup
from harness.lab_home import PROJECT, lab_home, store_home

PATIENCE_S = 60.0


@contextmanager
def doomed(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A harness of its own that has come as far as its first word."""
    command = [sys.executable, "-m", "tests.leftovers.doomed", *arguments]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as harness:
        try:
            assert harness.stdout is not None
            assert harness.stdout.readline().strip() == arguments[0]
            yield harness
        finally:
            harness.kill()


def journal_of(pid: int) -> Path:
    """The journal that the harness `pid` holds."""
    held = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    (path,) = (path for path in (lab_home() / "journal").glob("*.jsonl") if str(path) in held)
    return path


def lairs(lab: str) -> tuple[Path, ...]:
    """Where a lab may keep its directory: what is no Postgres needs no home that `nobody` can reach."""
    return tuple(home / "stacks" / lab for home in (lab_home(), store_home(lab_home()).directory))


def survivors(lab: str) -> set[int]:
    """Processes of a lab, found by its directory and its mark, not by its journal."""
    mark = f"{LAB_VARIABLE}={lab}".encode()
    return {
        pid
        for pid, entry in proc_table.snapshot().items()
        if entry.state != "Z"
        and (
            mark in proc_table.environment(pid)
            or any(proc_table.working_directory(pid).startswith(str(lair)) for lair in lairs(lab))
        )
    }


def await_undone(lab: str) -> None:
    """Start after start, until no process, directory or journal of the lab is left.

    One start need not do: a child that the killed harness had just forked holds its journal until it has become the
    program that it was forked for, and another lab's start may be at it too.
    """
    journal = lab_home() / "journal" / f"{lab}.jsonl"

    def remains() -> list[Path]:
        return [path for path in (journal, *lairs(lab)) if path.exists()]

    def is_gone() -> bool:
        undo_leftovers(home=lab_home())
        return not (survivors(lab) or remains())

    wait_for(
        is_gone,
        awaiting=f"nothing of lab {lab} to be left",
        timeout_s=PATIENCE_S,
        seen=lambda: f"{survivors(lab)} {remains()}",
    )


def undone(lab: str, found: tuple[Undone, ...]) -> Undone:
    (one,) = (each for each in found if each.lab == lab)
    return one


@pytest.mark.parametrize("phase", ["redis", "frozen-postgres", "locust"])
def test_a_killed_harness_leaves_nothing_after_the_next_start(phase: str) -> None:
    with doomed(phase) as harness:
        lab = journal_of(harness.pid).stem
        undo_leftovers(home=lab_home())
        alive = survivors(lab)
        assert alive, "a living lab was touched"
        harness.send_signal(signal.SIGKILL)
        harness.wait()
        assert survivors(lab) >= alive
        await_undone(lab)


@pytest.mark.stack
@pytest.mark.parametrize("notes", [2, 4, 8, 10], ids=["proxy", "stores", "services", "most"])
def test_a_harness_killed_while_its_stack_starts_leaves_nothing(notes: int) -> None:
    lab = f"doomed-{secrets.token_hex(4)}"
    path = lab_home() / "journal" / f"{lab}.jsonl"

    def has_come_so_far() -> bool:
        return path.exists() and len(path.read_text().splitlines()) >= notes

    with doomed("stack", lab) as harness:
        wait_for(has_come_so_far, awaiting=f"{notes} notes in the journal", timeout_s=PATIENCE_S, interval_s=0.005)
        harness.send_signal(signal.SIGKILL)
        harness.wait()
        assert survivors(lab)
        await_undone(lab)


def test_what_was_started_but_not_yet_noted_is_found_by_its_mark(tmp_path: Path) -> None:
    lab = f"doomed-{secrets.token_hex(4)}"
    with subprocess.Popen(["sleep", "60"], env={LAB_VARIABLE: lab, "PATH": os.defpath}) as orphan:
        (tmp_path / "journal").mkdir()
        (tmp_path / "journal" / f"{lab}.jsonl").write_text("")
        assert undone(lab, undo_leftovers(home=tmp_path)).pids == (orphan.pid,)
        assert orphan.wait() == -signal.SIGKILL


def test_a_copy_of_the_template_that_outlives_its_harness_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lair, tools = tmp_path / "lair", tmp_path / "bin"
    tools.mkdir()
    (tools / "cp").write_text("#!/bin/sh\nexec sleep 60\n")
    (tools / "cp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    template = PostgresTemplate(tmp_path / "template", install=tmp_path, home=store_home(tmp_path))
    harness = multiprocessing.get_context("fork").Process(target=template.copy_to, args=(lair / "postgres" / "data",))
    harness.start()
    assert harness.pid is not None
    mine = {harness.pid}

    def copying() -> set[int]:
        table = proc_table.snapshot()
        return {pid for pid in proc_table.descendants(table, mine) - mine if "sleep" in proc_table.command_line(pid)}

    (orphan,) = wait_for(copying, awaiting="the copy", timeout_s=PATIENCE_S)
    harness.kill()
    harness.join()
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "dead.jsonl").write_text(json.dumps({"kind": "directory", "path": str(lair)}) + "\n")
    try:
        assert undone("dead", undo_leftovers(home=tmp_path)).pids == (orphan,)
    finally:
        proc_table.send_signal(orphan, signal.SIGKILL)
    assert not lair.exists()


@contextmanager
def shell_in(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What a person has open in a directory: a process with a controlling terminal."""
    ours, theirs = os.openpty()
    try:
        with subprocess.Popen(["setsid", "--ctty", "sleep", "60"], stdin=theirs, cwd=directory) as shell:
            try:
                wait_for(
                    lambda: (entry := proc_table.read_entry(shell.pid)) is not None and entry.has_terminal,
                    awaiting="its terminal",
                    timeout_s=PATIENCE_S,
                )
                yield shell
            finally:
                shell.kill()
    finally:
        os.close(ours)
        os.close(theirs)


def test_somebody_who_looks_around_in_a_dead_labs_directory_is_spared(tmp_path: Path) -> None:
    lair = tmp_path / "lair"
    lair.mkdir()
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "dead.jsonl").write_text(json.dumps({"kind": "directory", "path": str(lair)}) + "\n")
    with shell_in(lair) as shell, subprocess.Popen(["sleep", "60"], cwd=lair, start_new_session=True) as orphan:
        assert undone("dead", undo_leftovers(home=tmp_path)).pids == (orphan.pid,)
        assert shell.poll() is None
    assert not lair.exists()


def test_somebody_who_looks_around_in_a_replicas_directory_outlives_it(tmp_path: Path) -> None:
    journal = Journal(lab="looked-at", home=tmp_path)
    group = ProcessGroup("sleeper", journal=journal)
    launch = Launch(
        command=("sh", "-c", "setsid sleep 60 & exec sleep 60"),
        env={"PATH": os.defpath},
        directory=tmp_path / "sleeper",
        log=tmp_path / "sleeper.log",
    )
    group.start(launch)
    with shell_in(launch.directory) as shell:
        group.kill()
        assert shell.poll() is None
        assert proc_table.read_entry(shell.pid) is not None
    journal.close()


def test_a_process_that_got_the_pid_of_a_noted_one_is_spared(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        entry = proc_table.read_entry(stranger.pid)
        assert entry is not None
        (tmp_path / "journal").mkdir()
        note = {"kind": "process", "pid": stranger.pid, "started_ticks": entry.started_ticks - 1}
        (tmp_path / "journal" / "dead.jsonl").write_text(json.dumps(note) + "\n")
        assert undone("dead", undo_leftovers(home=tmp_path)).pids == ()
        assert stranger.poll() is None
        stranger.kill()


def test_a_journal_cut_off_in_mid_line_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    directory = tmp_path / "lair"
    directory.mkdir()
    (tmp_path / "journal").mkdir()
    whole = json.dumps({"kind": "directory", "path": str(directory)})
    (tmp_path / "journal" / "dead.jsonl").write_text(f'{whole}\n{{"kind": "proc')
    assert undone("dead", undo_leftovers(home=tmp_path)).directories == (str(directory),)
    assert not directory.exists()


def test_a_note_that_nobody_can_undo_is_kept_for_a_start_that_can(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    path = tmp_path / "journal" / "dead.jsonl"
    path.write_text(json.dumps({"kind": "containers", "stack": "dead"}) + "\n")
    assert len(undone("dead", undo_leftovers(home=tmp_path)).not_undone) == 1
    assert path.exists()
    seen: list[object] = []
    found = undone("dead", undo_leftovers(home=tmp_path, undoers={"containers": seen.append}))
    assert seen == [{"kind": "containers", "stack": "dead"}]
    assert found.not_undone == ()
    assert not path.exists()


def test_a_journal_that_is_closed_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(lab="orderly", home=tmp_path)
    assert undo_leftovers(home=tmp_path) == ()
    journal.close()
    journal.close()
    assert not journal.path.exists()


def test_an_orderly_end_leaves_nothing() -> None:
    with running_redis() as redis:
        directory = redis.log.parent
        lab = directory.name
        assert survivors(lab)
    assert survivors(lab) == set()
    assert not directory.exists()
