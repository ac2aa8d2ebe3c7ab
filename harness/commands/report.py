"""`lab report`: write a run's report again, and show it."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from harness import report as reports
from harness.lab_home import PROJECT
from harness.report.annotations import workflow_commands
from harness.report.console import first_anomaly, verdict_table
from harness.report.live import lab_console
from harness.report.record import read
from harness.report.summary import SUMMARY_FILE

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


def report(
    run: Annotated[Path | None, typer.Argument(help="a run's directory or its run.json; default: the latest")] = None,
    open_it: Annotated[bool, typer.Option("--open", help="open report.html in a browser")] = False,
    github: Annotated[
        bool, typer.Option("--github", help="print annotations, and add the summary to the job's")
    ] = False,
) -> None:
    """Write report.html and summary.md from run.json, ledger, watch and logs; print the verdict table and the path."""
    directory = find_run(run)
    page = reports.write(directory)
    record = read(directory)
    console = lab_console()
    console.print(verdict_table(record))
    first = first_anomaly(record)
    if first:
        console.print(first)
    if github:
        for line in workflow_commands(record, root=PROJECT):
            typer.echo(line)
        _add_to_job_summary(directory / SUMMARY_FILE)
    console.print(f"report: {page}")
    if open_it:
        webbrowser.open(page.resolve().as_uri())


def find_run(given: Path | None) -> Path:
    """The directory of a run: the one given (a name below `reports` will do), or the latest."""
    if given is None:
        return (PROJECT / "reports" / "latest").resolve()
    directory = given.parent if given.name == "run.json" else given
    below_reports = PROJECT / "reports" / directory
    return below_reports if not directory.is_dir() and below_reports.is_dir() else directory


def _add_to_job_summary(summary: Path) -> None:
    target = os.environ.get(SUMMARY_VARIABLE)
    if target:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(summary.read_text(encoding="utf-8"))
