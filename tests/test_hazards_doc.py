"""docs/hazards.md and the code list the same rows and planted defects."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from harness.lab_home import PROJECT

ROW = re.compile(r"^\| ([A-Z]+\d*) \| .* \| ([^|]*) \|$", re.MULTILINE)


def test_rows_and_defects_are_those_of_the_code() -> None:
    text = (PROJECT / "docs" / "hazards.md").read_text(encoding="utf-8")
    told = {row: set(re.findall(r"`(\w+)`", planted)) for row, planted in ROW.findall(text)}
    command = [sys.executable, "-m", "harness.cli", "scenarios", "--json"]
    listed = json.loads(subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout)
    coded: dict[str, set[str]] = {}
    for each in listed:
        coded.setdefault(each["scenario"].partition("[")[0], set()).update(each["defects"])
    assert told == coded
