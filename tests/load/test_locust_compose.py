"""Locust in containers as the lab notes, labels and follows it; the engine is one of our own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.clock import wait_for
from harness.drivers import proc_table
from harness.drivers.leftovers import LAB_VARIABLE
from harness.engine import HOME_LABEL, LAB_LABEL
from harness.load import locust_compose
from harness.load.locust_compose import OVERLAY, LocustCompose
from tests.load.conftest import MakeOrder

DOCKER = """#!/bin/sh
case "$*" in
    *" up "*) echo $$ > "$UP_PID"; exec sleep 60 ;;
    *" down "*) kill "$(cat "$UP_PID")" ;;
esac
"""


class Engine:
    """An engine with one container that has ended."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.containers = self

    def list(self, **asked: Any) -> list[SimpleNamespace]:
        """The one."""
        self.asked.append(asked)
        return [SimpleNamespace(name="worker-2", attrs={"State": {"ExitCode": 137}}, logs=lambda tail: b"Killed\n")]


@pytest.fixture
def compose(order: MakeOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocustCompose:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "docker").write_text(DOCKER)
    (tools / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("UP_PID", str(tmp_path / "up.pid"))
    for name in ("require_engine", "ca_bundle", "locust_image"):
        monkeypatch.setattr(locust_compose, name, lambda: "")
    monkeypatch.setattr(locust_compose, "undo_container_leftovers", lambda _home: ())
    monkeypatch.setattr(locust_compose, "lab_home", lambda: tmp_path)
    reports = tmp_path / "reports"
    asked = order(directory=str(reports / "run" / "LOAD" / "processes"), processes=2)
    return LocustCompose(order=asked, directory=reports / "run" / "locust", reports=reports)


def test_what_a_killed_lab_left_is_in_its_journal(compose: LocustCompose, tmp_path: Path) -> None:
    compose.start()
    try:
        (journal,) = (tmp_path / "journal").glob("*.jsonl")
        notes = {note["kind"]: note for note in map(json.loads, journal.read_text().splitlines())}
        assert notes["compose"]["stack"] == journal.stem
        wait_for((tmp_path / "up.pid").exists, awaiting="docker compose up", timeout_s=30.0)
        assert f"{LAB_VARIABLE}={journal.stem}".encode() in proc_table.environment(notes["process"]["pid"])
    finally:
        compose.stop()
    assert not journal.exists()


def test_a_container_that_ended_is_named_with_its_last_words(
    compose: LocustCompose, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine()
    monkeypatch.setattr(locust_compose, "connect", lambda: engine)
    assert compose.ended() == ("worker-2 ended with exit code 137; its last words:\nKilled",)
    assert engine.asked[0]["filters"]["status"] == "exited"
    assert engine.asked[0]["filters"]["label"].startswith(f"{LAB_LABEL}=locust-")


def test_every_container_carries_the_labels_by_which_it_is_found() -> None:
    services = yaml.safe_load(OVERLAY.read_text())["services"]
    for service in services.values():
        assert service["labels"] == {LAB_LABEL: "${LOCUST_NAME:-chaos-lab-locust}", HOME_LABEL: "${LOCUST_LAB:-none}"}
