"""What make passes on reaches the command word by word."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.lab_home import PROJECT

PROGRAM = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"


@pytest.mark.parametrize(
    ("target", "given", "option"),
    [
        ("chaos", "IDS", "--ids"),
        ("chaos", "K", "--keyword"),
        ("chaos", "PATCH", "--patch"),
        ("defects", "IDS", "--ids"),
        ("load", "FAULT", "--fault"),
        ("load", "TARGET", "--target"),
    ],
)
def test_free_text_arrives_as_it_is(target: str, given: str, option: str, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.write_text(PROGRAM)
    lab.chmod(0o755)
    text = 'it\'s "W1" W2; false'
    ran = subprocess.run(
        ["make", "--silent", target, f"LAB={lab}", "READY=", f"{given}={text}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    words = json.loads(ran.stdout.splitlines()[-1])
    assert words[words.index(option) + 1] == text
