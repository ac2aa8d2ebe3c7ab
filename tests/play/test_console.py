"""What the lab prints is what it has to say: nothing in it is taken for markup, and nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner

from harness.cli import build
from harness.lab_home import PROJECT
from harness.report import live
from harness.report.live import lab_console

SAID = "PATCH a.diff caught by W1[warm]: lost: [/health] of celery[redis] [bold] a:x:b"


def test_a_line_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    lab_console().print(SAID, soft_wrap=True)
    assert capsys.readouterr().out == SAID + "\n"


def test_a_table_is_printed_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("head [red]", title="title [blue]")
    table.add_row(SAID)
    lab_console().print(table)
    printed = capsys.readouterr().out
    assert [text for text in (SAID, "head [red]", "title [blue]") if text not in printed] == []


def test_every_command_prints_so() -> None:
    """No other console is made, and nothing is styled in words."""
    sources = {path: path.read_text(encoding="utf-8") for path in (PROJECT / "harness").rglob("*.py")}
    makers = {path.relative_to(PROJECT).as_posix() for path, text in sources.items() if re.search(r"\bConsole\(", text)}
    assert makers == {"harness/report/live.py"}
    assert [path for path, text in sources.items() if "[/]" in text] == []


def test_the_doctor_keeps_the_extra_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PLAIN_WIDTH", 500)  # no cell is folded
    (tmp_path / "app.lock").write_text("kombu==5.7.0\n")
    (tmp_path / "[worker].env").write_text("BILLIARD_REMAP_SIGTERM=SIGQUIT\n")
    words = ["--requirements", str(tmp_path / "app.lock"), "--env", f"dev/worker={tmp_path / '[worker].env'}"]
    printed = CliRunner().invoke(build(), ["doctor", *words]).stdout
    assert "celery[redis]" in printed
    assert "[worker].env" in printed
