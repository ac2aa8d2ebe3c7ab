"""docs/anomalies.md and the closed list of anomalies say the same."""

from __future__ import annotations

import re
from pathlib import Path

from harness.anomaly import Kind
from harness.checkers.suite import CHECKERS

ROOT = Path(__file__).parents[1]
ROWS = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", (ROOT / "docs/anomalies.md").read_text(), re.MULTILINE)


def test_every_kind_is_explained_once() -> None:
    assert sorted(name for name, *_ in ROWS) == sorted(kind.value for kind in Kind)


def test_every_row_says_meaning_ids_and_where_to_look() -> None:
    assert [row[0] for row in ROWS if not all(cell.strip() for cell in row)] == []


def test_every_checker_states_its_invariant_and_its_blind_spot() -> None:
    modules = {name: (ROOT / f"harness/checkers/{name}.py").read_text() for name in CHECKERS}
    assert [
        name for name, text in modules.items() if not text.startswith('"""Invariant: ') or "Cannot see:" not in text
    ] == []
