"""The migrated template: kept only when the app's migrate step and the database under it ended in order."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.drivers.leftovers import Journal, undo_leftovers
from harness.drivers.process.app_template import app_template
from harness.drivers.process.embedded_postgres import PostgresTemplate
from harness.drivers.process.group import Launch
from harness.errors import DriverError, StartFailed
from harness.lab_home import lab_home, store_home

GOOD = "pass"
FAILS = "raise SystemExit(3)"
KILLS_THE_SERVER = """
import os, pathlib, signal, sys
for file in pathlib.Path(sys.argv[1]).glob(f"templates/.app-*.{os.getppid()}/data/postmaster.pid"):
    os.kill(int(file.read_text().split()[0]), signal.SIGKILL)
"""


@dataclass
class Maker:
    """Makes the template of one app, which no other test has."""

    directory: Path
    journal: Journal
    made: list[PostgresTemplate] = field(default_factory=list)
    runs: int = 0

    def make(self, program: str) -> None:
        """With this Python program as the migrate step."""
        self.made.append(
            app_template(
                home=store_home(lab_home()),
                sources=(self.directory,),
                env={},
                migrate=lambda url: self._launch(program),
                journal=self.journal,
            )
        )

    def _launch(self, program: str) -> Launch:
        self.runs += 1
        return Launch(
            command=(sys.executable, "-c", program, str(store_home(lab_home()).directory)),
            env={"PATH": os.environ["PATH"]},
            directory=self.directory / "migrate",
            log=self.directory / "logs" / "migrate.log",
        )


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[Maker]:
    (tmp_path / "app.py").write_text(f"# {tmp_path}\n")
    journal = Journal(lab="template", home=tmp_path)
    maker = Maker(tmp_path, journal)
    try:
        yield maker
    finally:
        journal.close()
        for each in maker.made:
            shutil.rmtree(each.directory, ignore_errors=True)


def test_it_is_made_once(maker: Maker) -> None:
    maker.make(GOOD)
    maker.make(GOOD)
    assert maker.runs == 1


def test_a_migrate_step_that_fails_is_the_apps_and_keeps_nothing(maker: Maker) -> None:
    with pytest.raises(StartFailed, match="migrate exited 3") as failed:
        maker.make(FAILS)
    assert (failed.value.replica, failed.value.exit_code) == ("migrate", 3)
    maker.make(GOOD)
    assert maker.runs == 2


def test_a_database_that_did_not_stop_in_order_is_not_kept(maker: Maker) -> None:
    with pytest.raises(DriverError, match=r"(?i)postgres.*code=137"):
        maker.make(KILLS_THE_SERVER)
    maker.make(GOOD)
    assert maker.runs == 2


def test_what_a_killed_maker_left_is_removed_by_the_next_start(maker: Maker) -> None:
    """Its journal is what stays of it, and a directory in the making."""
    maker.make(GOOD)
    unborn = maker.made[0].unborn
    noted = maker.journal.path.read_text()
    maker.journal.close()
    unborn.mkdir()
    try:
        maker.journal.path.write_text(noted)
        undo_leftovers(home=maker.directory)
        assert not unborn.exists()
    finally:
        shutil.rmtree(unborn, ignore_errors=True)
