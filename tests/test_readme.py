"""The README says what the committed sample run says, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import LabError
from harness.report.readme import ROOT, SAMPLE, with_sample
from harness.report.record import read

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def test_table_is_the_sample_runs() -> None:
    assert with_sample(README, read(SAMPLE)) == README


def test_missing_mark_is_told() -> None:
    with pytest.raises(LabError, match="marks"):
        with_sample("no marks here", read(SAMPLE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []
