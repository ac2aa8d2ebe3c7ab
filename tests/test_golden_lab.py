"""The worked examples of docs/aggregates.md and docs/fingerprints.md, through the lab's own implementations."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.checkers.canonical import fingerprint_of
from harness.checkers.recomputation import recompute
from harness.checkers.zones import offsets
from harness.devices.types import BY_IDENTIFIER, PRECEDENCE, TypeKind
from harness.evidence.tables import insert_rows, open_tables

GOLDEN = Path(__file__).parent / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "aggregates.json").read_text())["cases"]
VECTORS: list[dict[str, Any]] = json.loads((GOLDEN / "fingerprints.json").read_text())["vectors"]


def ms(text: str) -> int:
    """Cut, not rounded."""
    at = datetime.fromisoformat(text)
    return int(at.replace(microsecond=0).timestamp()) * 1000 + at.microsecond // 1000


@pytest.mark.parametrize("vector", VECTORS, ids=[each["name"] for each in VECTORS])
def test_fingerprint(vector: dict[str, Any]) -> None:
    sample = vector["sample"]
    found = fingerprint_of(
        sample["type"], ms(sample["start"]), ms(sample["end"]), sample["value"], sample["unit"], sample["source"]["id"]
    )
    assert found == vector["sha256"]


@pytest.mark.parametrize("case", CASES, ids=[each["name"] for each in CASES])
def test_aggregate(case: dict[str, Any]) -> None:
    tables = open_tables(memory_limit="256MB", threads=1)
    tables.execute("CREATE TABLE users (user_id BIGINT, zone VARCHAR)")
    tables.execute(
        "CREATE TABLE facts (user_id BIGINT, type VARCHAR, kind VARCHAR, source VARCHAR, precedence INTEGER,"
        " start_ms BIGINT, end_ms BIGINT, value DOUBLE, category VARCHAR)"
    )
    kind = BY_IDENTIFIER[case["type"]].kind
    is_number = kind in (TypeKind.CUMULATIVE, TypeKind.DISCRETE)
    insert_rows(tables, "users", [(1, case["zone"])])
    insert_rows(
        tables,
        "facts",
        [
            (
                1, case["type"], kind.value, each["source"]["id"], PRECEDENCE[each["source"]["kind"]],
                ms(each["start"]), ms(each["end"]),
                each["value"] if is_number else None, None if is_number else each["value"],
            )
            for each in case["samples"]
        ],
    )  # fmt: skip
    recompute(tables)
    rows = tables.execute(
        "SELECT day::VARCHAR, total, mean, minimum, maximum, sample_count FROM expected_aggregates ORDER BY day"
    ).fetchall()
    names = ("day", "total", "mean", "minimum", "maximum", "sampleCount")
    expected = [
        {name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in day.items()}
        for day in case["expected"]
    ]
    assert [dict(zip(names, row, strict=True)) for row in rows] == expected


@pytest.mark.parametrize(
    ("zone", "from_", "expected"),
    [
        ("UTC", "2026-03-07T00:00:00Z", [0]),
        ("Europe/Berlin", "2026-03-07T00:00:00Z", [3600, 7200]),
        ("Australia/Lord_Howe", "2026-03-30T00:00:00Z", [39_600, 37_800]),
        ("America/St_Johns", "2026-03-07T00:00:00Z", [-12_600, -9_000]),
    ],
    ids=["none", "an hour", "half an hour", "west"],
)
def test_offsets_of_thirty_days(zone: str, from_: str, expected: list[int]) -> None:
    start_ms = ms(from_)
    found = offsets(zone, from_ms=start_ms, to_ms=start_ms + 30 * 86_400_000)
    assert [each.offset_s for each in found] == expected


def test_the_change_of_clocks_is_found_to_the_minute() -> None:
    found = offsets("Europe/Berlin", from_ms=ms("2026-03-28T00:00:00Z"), to_ms=ms("2026-03-30T00:00:00Z"))
    assert found[1].from_ms == ms("2026-03-29T01:00:00Z")
