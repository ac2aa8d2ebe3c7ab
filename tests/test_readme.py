"""The README says what the committed sample run says, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import LabError
from harness.lab_home import PROJECT
from harness.report.readme import SAMPLE, with_sample
from harness.report.record import read

README = (PROJECT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
DECISIONS = PROJECT / "docs" / "decisions"
DOCUMENTS = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")])


def test_table_is_the_sample_runs() -> None:
    assert with_sample(README, read(SAMPLE)) == README


def test_missing_mark_is_told() -> None:
    with pytest.raises(LabError, match="marks"):
        with_sample("no marks here", read(SAMPLE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_every_decision_is_in_their_index_by_its_title() -> None:
    told = re.findall(r"^- \[(\d{4})\]\((.+?)\) (.+)$", (DECISIONS / "README.md").read_text(), re.MULTILINE)
    titles = {path.name: path.read_text().partition("\n")[0] for path in sorted(DECISIONS.glob("0*.md"))}
    assert [(name, re.sub(r"^# (\d{4}):? ", r"\1 ", title)) for name, title in titles.items()] == [
        (name, f"{number} {title}") for number, name, title in told
    ]
