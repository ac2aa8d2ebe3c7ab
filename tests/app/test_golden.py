"""The worked examples of docs/aggregates.md and docs/fingerprints.md, through the app."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from healthkit.database import fetch_all
from healthkit.importing.chunk import Outcome, chunk_run
from healthkit.validating import TypeRule, samples_classify
from tests.app.imports import batch, phone

GOLDEN = Path(__file__).parents[1] / "golden"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "aggregates.json").read_text())["cases"]
VECTORS: list[dict[str, Any]] = json.loads((GOLDEN / "fingerprints.json").read_text())["vectors"]
UNITS = {"HKQuantityTypeIdentifierHeartRate": "count/min", "HKQuantityTypeIdentifierStepCount": "count"}


@pytest.mark.parametrize("vector", VECTORS, ids=[each["name"] for each in VECTORS])
def test_fingerprint(vector: dict[str, Any]) -> None:
    sample = vector["sample"]
    kind = "sleep" if "Category" in sample["type"] else "discrete"
    classified = samples_classify(
        [(0, sample)],
        type_identifier=sample["type"],
        rule=TypeRule(1, kind, sample["unit"] or "", None),
        known_types=(),
        now=datetime(2025, 7, 1, tzinfo=UTC),
    )
    [accepted] = classified.accepted
    assert hashlib.sha256(vector["canonical"].encode()).hexdigest() == vector["sha256"]
    assert accepted.fingerprint.hex() == vector["sha256"]


def as_sample(case: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    return {"uuid": None, "type": case["type"], "unit": UNITS.get(case["type"])} | short


def stored() -> list[dict[str, Any]]:
    rows = fetch_all(
        "SELECT day::text, total, mean, minimum, maximum, sample_count FROM healthkit_daily_aggregate ORDER BY day"
    )
    return [dict(zip(("day", "total", "mean", "minimum", "maximum", "sampleCount"), row, strict=True)) for row in rows]


@pytest.mark.usefixtures("stores")
@pytest.mark.parametrize("is_split", [False, True], ids=["one chunk", "a chunk for each sample"])
@pytest.mark.parametrize("case", CASES, ids=[each["name"] for each in CASES])
def test_aggregate(case: dict[str, Any], is_split: bool) -> None:
    samples = [as_sample(case, each) for each in case["samples"]]
    chunks = [[each] for each in reversed(samples)] if is_split else [samples]
    batch_id = batch(phone(zone=case["zone"]), chunks, type_identifier=case["type"])
    outcomes = {chunk_run(batch_id=batch_id, chunk_index=index, holder="x") for index in range(len(chunks))}
    assert outcomes == {Outcome.DONE}
    expected = [{name: _approx(value) for name, value in each.items()} for each in case["expected"]]
    assert stored() == expected


def _approx(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9) if isinstance(value, int | float) else value
