"""What `lab` exits with when no verdict came of a call: never a code that stands for one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import typer

from harness import cli
from harness.errors import Inconclusive, LabError
from harness.lab_home import PROJECT
from harness.verdict import ExitCode


def raising(error: BaseException) -> Callable[[], typer.Typer]:
    """A `lab` of one command, which ends so."""

    def build() -> typer.Typer:
        app = typer.Typer(pretty_exceptions_enable=False)

        @app.command()
        def only() -> None:
            raise error

        return app

    return build


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (typer.Exit(1), ExitCode.INVALID),
        (typer.Exit(2), ExitCode.INCONCLUSIVE),
        (Inconclusive("nothing to say"), ExitCode.INCONCLUSIVE),
        (LabError("no driver"), ExitCode.LAB_FAILED),
        (typer.BadParameter("no such thing"), ExitCode.LAB_FAILED),
        (ValueError("unforeseen"), ExitCode.LAB_FAILED),
        (KeyboardInterrupt(), ExitCode.LAB_FAILED),
        (EOFError(), ExitCode.LAB_FAILED),
        (BrokenPipeError(32, "Broken pipe"), ExitCode.LAB_FAILED),
    ],
    ids=lambda given: repr(given) if isinstance(given, BaseException) else given.name,
)
def test_how_a_command_ends(error: BaseException, code: ExitCode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "build", raising(error))
    monkeypatch.setattr(sys, "argv", ["lab"])
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # typer changes both when the output was closed
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code


def test_a_defect_of_the_lab_keeps_its_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "build", raising(ValueError("unforeseen\nin two lines")))
    monkeypatch.setattr(sys, "argv", ["lab"])
    with pytest.raises(SystemExit):
        cli.main()
    told = capsys.readouterr()
    assert "Traceback" in told.err
    assert "in only" in told.err
    assert told.out.splitlines()[-1].startswith("LAB FAILED: ValueError: unforeseen in two lines")


@pytest.mark.parametrize(
    "words", [["chaos", "--no-such-option"], ["no-such-command"], ["chaos", "--seed", "one"]], ids=" ".join
)
def test_a_call_that_is_not_understood(words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "harness.cli", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (ExitCode.LAB_FAILED, "")
    assert "Usage: " in ran.stderr
