"""docs/performance.md tells the figures of the committed run, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
RUN: dict[str, Any] = json.loads((ROOT / "reports" / "sample" / "bench" / "latest.json").read_text(encoding="utf-8"))
FIGURES = (
    *("import_vs_update_or_create", "import_vs_copy", "accept_p95_vs_plain", "round_trips_per_chunk"),
    *("cost_slope", "worker_rss_growth_mib", "check_10m_s", "check_10m_peak_mib"),
)


def test_the_committed_run_is_a_full_one() -> None:
    assert RUN["is_full"] is True


@pytest.mark.parametrize("figure", FIGURES)
def test_figures(figure: str) -> None:
    told = re.search(rf"^\| `{figure}` .*\| (-?[\d.]+) \|$", PAGE, re.MULTILINE)
    assert told is not None
    digits = len(told[1].partition(".")[2])
    assert float(told[1]) == round(RUN[figure], digits)


@pytest.mark.parametrize(("column", "chunk"), [(0, "100"), (1, "1000")])
def test_shares_of_a_chunk(column: int, chunk: str) -> None:
    steps = dict(RUN["import"]["profile_ms"][chunk])
    whole = steps.pop("whole")
    told = {
        name: shares for name, *shares in re.findall(r"^\| ([\w ,]+?) \| (\d+) % \| (\d+) % \|", PAGE, re.MULTILINE)
    }
    assert {name: int(shares[column]) for name, shares in told.items()} == {
        name: round(100 * took / whole) for name, took in steps.items()
    }


def test_the_largest_chunks() -> None:
    largest = RUN["import"]["by_chunk_size"]["1000"]
    assert f"{largest['vs_update_or_create']:.1f} × the loop and {largest['vs_copy']:.3f} × COPY" in PAGE
