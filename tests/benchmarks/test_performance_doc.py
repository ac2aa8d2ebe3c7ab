"""docs/performance.md tells the figures of the committed run, and no others; docs/capacity.md is made of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.bench.capacity import page
from harness.bench.figures import LIMITS, verdict_of
from harness.lab_home import PROJECT

PAGE = (PROJECT / "docs" / "performance.md").read_text(encoding="utf-8")
SAMPLE = PROJECT / "reports" / "sample" / "bench" / "latest.json"
RUN: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))


def test_the_committed_run_is_a_full_one() -> None:
    assert RUN["is_full"] is True


@pytest.mark.parametrize("figure", LIMITS)
def test_figures_with_what_they_are_held_to(figure: str) -> None:
    told = re.search(rf"^\| `{figure}` \|.*\| ([^|]+) \| ([^|]+) \| (-?[\d.]+) \| (\w+) \|$", PAGE, re.MULTILINE)
    assert told is not None
    digits = len(told[3].partition(".")[2])
    assert float(told[3]) == round(RUN[figure], digits)
    assert tuple(float(re.sub(r"[^\d.]", "", limit)) for limit in told.groups()[:2]) == LIMITS[figure]
    assert told[4] == verdict_of(figure, RUN[figure])


def test_capacity_is_computed_from_them() -> None:
    assert (PROJECT / "docs" / "capacity.md").read_text(encoding="utf-8") == page(RUN)


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
