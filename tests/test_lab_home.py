"""What Postgres' user needs on its way is open to it, whatever the umask of who runs the lab."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.drivers.container import blueprint
from harness.drivers.process import embedded_postgres
from harness.lab_home import PROJECT, StoreHome, is_open_to_others, store_home

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root's Postgres runs as somebody else")
TRIES_A_POSTGRES = """
from harness.drivers.process.embedded import running_postgres
from harness.drivers.store_access import postgres_answers
with running_postgres() as postgres:
    print(postgres_answers(postgres.dsn()))
"""


@pytest.fixture(params=[0o027, 0o077], ids=["027", "077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def closed(umask: int) -> Iterator[Path]:
    """A directory that others may not enter, and root's way around it."""
    directory = Path(tempfile.mkdtemp())
    home = store_home(directory)
    yield directory
    shutil.rmtree(directory)
    shutil.rmtree(home.directory, ignore_errors=True)


@AS_ROOT
def test_a_home_that_others_cannot_enter_has_a_stand_in_that_they_can(closed: Path) -> None:
    home = store_home(closed)
    assert home.directory != closed
    way = home.directory / "stacks" / "one"
    home.make_way(way)
    assert is_open_to_others(way)


def test_the_way_is_made_for_nobody_else_where_postgres_runs_as_ourselves(umask: int, tmp_path: Path) -> None:
    way = tmp_path / "stacks" / "one"
    StoreHome(directory=tmp_path, user=None).make_way(way)
    assert stat.S_IMODE(way.stat().st_mode) == 0o777 & ~umask


@AS_ROOT
def test_a_copy_of_the_binaries_can_be_run_by_postgres_user(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / embedded_postgres.PACKAGE
    (package / "pginstall18" / "bin").mkdir(parents=True)
    (tmp_path / f"{embedded_postgres.PACKAGE}.libs").mkdir()
    postgres = package / "pginstall18" / "bin" / "postgres"
    shutil.copy("/bin/true", postgres)
    postgres.chmod(0o700)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, embedded_postgres.PACKAGE, raising=False)
    (package / "__init__.py").touch()
    home = store_home(closed)
    install = embedded_postgres.find_install(home)
    assert install.is_relative_to(home.directory)
    assert home.user is not None
    subprocess.run([install / "bin" / "postgres"], user=home.user, group=home.user, extra_groups=[], check=True)


@AS_ROOT
def test_a_postgres_of_ones_own_starts_under_any_umask(umask: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRIES_A_POSTGRES], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_what_containers_mount_can_be_read_by_their_users(umask: int, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    (clone / "postgres").mkdir(parents=True)
    (clone / "postgres" / "10-role.sh").write_text("true")
    (clone / "toxiproxy.json").write_text("[]")
    mounts = [{"type": "bind", "source": str(clone / name)} for name in ("postgres", "toxiproxy.json")]
    resolved = {"services": {"a": {"volumes": [*mounts, {"type": "volume", "source": "data"}]}, "b": {}}}
    copied = blueprint.with_readable_mounts(resolved, directory=tmp_path / "lair")
    sources = [each["source"] for each in copied["services"]["a"]["volumes"]]
    assert sources == [str(tmp_path / "lair" / "postgres"), str(tmp_path / "lair" / "toxiproxy.json"), "data"]
    files = [tmp_path / "lair" / "postgres" / "10-role.sh", tmp_path / "lair" / "toxiproxy.json"]
    assert all(file.stat().st_mode & stat.S_IROTH for file in files)
    assert (tmp_path / "lair" / "postgres").stat().st_mode & stat.S_IXOTH
