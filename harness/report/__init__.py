"""What a run leaves behind for people and machines."""

from __future__ import annotations

from pathlib import Path

from harness.report.html import write_page
from harness.report.summary import write_summary


def write(run_directory: Path) -> Path:
    """Write `summary.md` and `report.html` beside `run.json`; returns the page's path. Idempotent.

    Raises: LabError when the directory holds no run.
    """
    write_summary(run_directory)
    return write_page(run_directory)
