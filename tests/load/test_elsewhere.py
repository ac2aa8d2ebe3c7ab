"""A load run against a stack elsewhere that turns everybody away, and one in which the lab itself fails."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from harness.errors import LabError
from harness.load import elsewhere
from harness.load.elsewhere import Elsewhere, checked_url
from harness.load.locust_processes import LocustProcesses
from harness.verdict import ExitCode
from tests.load.conftest import MakeOrder

NOBODY = "http://somebody:geheim@127.0.0.1:9"


def play(order: MakeOrder, root: Path, *, monkeypatch: pytest.MonkeyPatch) -> tuple[ExitCode, str]:
    monkeypatch.setattr(elsewhere, "PROJECT", root)
    monkeypatch.setattr(sys, "argv", ["lab", "load", "--target", NOBODY])
    said = io.StringIO()
    asked = order(users=2, rate_per_s=20.0, run_time_s=1.0, retry_for_s=0.1, patience_s=60.0)
    return Elsewhere(order=asked, url=NOBODY).run(Console(file=said, width=200)), said.getvalue()


def test_a_target_that_turns_everybody_away_is_invalid_and_keeps_its_password(
    order: MakeOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = play(order, tmp_path, monkeypatch=monkeypatch)
    latest = tmp_path / "reports" / "latest"
    (scenario,) = orjson.loads((latest / "run.json").read_bytes())["scenarios"]
    assert code is ExitCode.INVALID
    assert scenario["anomalies"]["wrong_answer"]["count"] >= 2
    assert "register" in scenario["anomalies"]["wrong_answer"]["first"][0]["summary"]
    assert said.rstrip().splitlines()[-1].startswith("INVALID: LOAD: 0 of ")
    figures = orjson.loads((latest / "load.json").read_bytes())
    assert figures["figures"]["offered"] > 0
    assert figures["order"]["targets"] == {"target": "http://somebody:***@127.0.0.1:9"}
    page = (latest / "report.html").read_text()
    assert 'href="load.json"' in page
    assert 'href="locust/locust.html"' in page
    told = [said, *(path.read_text(errors="replace") for path in latest.rglob("*") if path.is_file())]
    assert not [each for each in told if "geheim" in each]


def test_an_error_of_the_lab_is_written_down(order: MakeOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: LocustProcesses) -> None:
        raise LabError("no Locust today")

    monkeypatch.setattr(LocustProcesses, "start", fail)
    code, said = play(order, tmp_path, monkeypatch=monkeypatch)
    assert code is ExitCode.LAB_FAILED
    run = orjson.loads((tmp_path / "reports" / "latest" / "run.json").read_bytes())
    assert (run["exit_code"], run["scenarios"][0]["doubts"]) == (3, ["no Locust today"])
    assert said.rstrip().splitlines()[-1].startswith("LAB FAILED: LOAD: nothing was measured")


def test_a_url_that_is_refused_keeps_its_password() -> None:
    with pytest.raises(LabError, match=r"TARGET=ftp://somebody:\*\*\*@host: expected a URL"):
        checked_url("ftp://somebody:geheim@host")
