"""The committed sample run: a report written from it leaves the tree as it was."""

from __future__ import annotations

import subprocess

from harness.lab_home import PROJECT
from harness.report.html import REPORT_FILE
from harness.report.readme import SAMPLE
from harness.report.record import read
from harness.report.summary import SUMMARY_FILE
from harness.rows.catalogue import all_rows

YOUNGER = {
    "A1",
    "A10[batch]",
    "A13",
    "A5[address]",
    "B5",
    "B7",
    "B9",
    "E1[hung]",
    "E1[killed]",
    "E1[moved]",
    "P6[records]",
    "S5",
    "S9[disabled]",
    "S9[mistyped]",
    "W4",
    "X1",
}
"""Rows that were written after the sample was taken; the next one has them."""


def test_it_ran_every_row_that_was_there_when_it_was_taken() -> None:
    ran = {scenario.label for scenario in read(SAMPLE).scenarios}
    assert ran | YOUNGER == {listed.row.label() for listed in all_rows()}
    assert not ran & YOUNGER


def test_what_is_written_from_it_is_ignored() -> None:
    def is_ignored(name: str) -> bool:
        command = ["git", "check-ignore", "--quiet", str(SAMPLE / name)]
        return subprocess.run(command, cwd=PROJECT, check=False).returncode == 0

    assert {name: is_ignored(name) for name in (REPORT_FILE, SUMMARY_FILE, "run.json")} == {
        REPORT_FILE: True,
        SUMMARY_FILE: True,
        "run.json": False,
    }
