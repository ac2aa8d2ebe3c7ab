"""Where a benchmark measures: on the stores of the driver that was asked for, which are gone afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.bench import stores
from harness.bench.stores import BenchStores, bench_stores
from harness.drivers.choice import Choice
from harness.drivers.protocol import StackSpec
from harness.errors import LabError
from harness.lab_home import PROJECT


class Double:
    """A stack of containers with nothing in it but its stores."""

    def __init__(self, spec: StackSpec, told: list[str]) -> None:
        assert spec.replicas == {}
        self._told = told

    def start(self) -> None:
        self._told.append("started")

    def down(self) -> None:
        self._told.append("down")

    def dsn(self) -> str:
        return "postgresql://postgres:secret@127.0.0.1:5544/app"

    def redis_url(self) -> str:
        return "redis://127.0.0.1:6644/0"


def test_containers_are_asked_for_and_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def choose(asked: str) -> Any:
        return Choice(asked, "asked for", lambda _: lambda spec: Double(spec, told))  # type: ignore[arg-type, return-value]  # as much of a stack as is used

    monkeypatch.setattr(stores, "choose", choose)
    monkeypatch.setattr(stores, "database_passwords", lambda _: {"APP_DB_PASSWORD": "of-the-app"})
    seen = []

    def measure() -> None:
        with bench_stores("containers", directory=tmp_path) as found:
            seen.append(found)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure()
    assert seen == [
        BenchStores(
            driver="containers",
            dsn="postgresql://postgres:secret@127.0.0.1:5544/app",
            app_dsn="postgresql://app:of-the-app@127.0.0.1:5544/app",
            redis_url="redis://127.0.0.1:6644/0",
        )
    ]
    assert told == ["started", "down"]


@pytest.mark.needs("processes")
def test_unless_told_they_are_processes(tmp_path: Path) -> None:
    with bench_stores("auto", directory=tmp_path) as found:
        assert found.driver == "processes"
        with psycopg.connect(found.app_dsn) as session:
            assert session.execute("select current_user::text").fetchone() == ("app",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(found.dsn)


def test_another_word_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(LabError, match="expected auto, containers or processes"),
        bench_stores("vm", directory=tmp_path),
    ):
        pass


def test_make_passes_the_driver_on() -> None:
    told = subprocess.run(
        ["make", "--dry-run", "bench", "DRIVER=containers", "QUICK=1"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "harness.bench.run --driver containers --quick" in told
