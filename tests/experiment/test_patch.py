"""PATCH: applied to a copy, in either spelling of paths, and never outside the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import LabError
from harness.report.record import PATCH_FILE
from harness.run.campaign import Campaign
from harness.run.patch import Caught, patch_block, patch_code, patched_copy
from harness.run.plugin import Mode, Selection
from harness.run_record import RunRecord
from harness.verdict import ExitCode

DIFF = "--- {a}app/x.py\n+++ {b}app/x.py\n@@ -1 +1 @@\n-good = 1\n+good = 2\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "app" / "x.py").write_text("good = 1\n")
    return tmp_path


@pytest.mark.parametrize(("a", "b"), [("a/", "b/"), ("", "")], ids=["as git writes it", "plain"])
def test_a_copy_is_patched_and_the_app_is_not(a: str, b: str, root: Path) -> None:
    diff = root / "d.diff"
    diff.write_text(DIFF.format(a=a, b=b))
    copy = patched_copy(diff, root=root, into=root / "run")
    assert (copy / "x.py").read_text() == "good = 2\n"
    assert (root / "run" / PATCH_FILE).read_text() == diff.read_text(), "the report would not show it"
    assert (root / "app" / "x.py").read_text() == "good = 1\n"


@pytest.mark.parametrize(
    "text",
    [
        DIFF.format(a="a/", b="b/").replace("good = 1", "bad = 1"),
        DIFF.format(a="a/", b="b/").replace("app/", "lib/"),
        "",
    ],
    ids=["does not fit", "outside the app", "empty"],
)
def test_what_does_not_apply_is_the_labs_failure(text: str, root: Path) -> None:
    diff = root / "d.diff"
    diff.write_text(text)
    with pytest.raises(LabError, match="does not apply"):
        patched_copy(diff, root=root, into=root / "run")


def test_a_missing_file_is_said(root: Path) -> None:
    with pytest.raises(LabError, match="no such file"):
        patched_copy(root / "none.diff", root=root, into=root / "run")


def test_caught_is_one_and_not_caught_is_zero() -> None:
    caught = Caught(label="W6", id="W6", kind="lost", summary="gone")
    assert patch_code(ExitCode.INVALID, caught) is ExitCode.INVALID
    assert patch_code(ExitCode.VALID, None) is ExitCode.VALID
    assert patch_code(ExitCode.LAB_FAILED, None) is ExitCode.LAB_FAILED
    assert patch_code(ExitCode.INCONCLUSIVE, None) is ExitCode.INCONCLUSIVE
    assert patch_block(Path("f"), caught) == {"file": "f", "caught_by": {"id": "W6", "kind": "lost"}}
    assert patch_block(Path("f"), None) == {"file": "f", "caught_by": None}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ExitCode.VALID, "PATCH d.diff not caught: "),
        (ExitCode.INCONCLUSIVE, "INCONCLUSIVE: PATCH d.diff was not judged: "),
        (ExitCode.LAB_FAILED, "LAB FAILED: PATCH d.diff was not judged: "),
    ],
)
def test_only_a_valid_run_says_that_a_patch_was_not_caught(code: ExitCode, expected: str, tmp_path: Path) -> None:
    campaign = Campaign(selection=Selection(mode=Mode.CHAOS), driver="processes", seed=1, patch=Path("d.diff"))
    record = RunRecord(directory=tmp_path, driver="processes", seed=1, argv=(), times={}, root=tmp_path)
    assert campaign.last_line(record, code, None).startswith(expected)
