"""run.json: every record has the documented shape, and no secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.anomaly import Anomaly, Kind
from harness.checkers.tally import NAMED, named
from harness.receipt import Injected, Receipt
from harness.redaction import redact, redact_env
from harness.rows.row import Row
from harness.run.patch import Caught, caught_by
from harness.run_record import COUNTS, PHASES, RunRecord, ScenarioRecord, new_run_directory
from harness.verdict import ExitCode, Verdict

STAMP = datetime.fromisoformat
ROOT = Path(__file__).resolve().parents[2]
RUN: Mapping[str, Any] = {
    "schema": int, "verdict": str, "exit_code": int, "driver": str, "seed": int, "argv": list,
    "git": {"revision": str, "dirty": bool}, "versions": dict, "times": dict, "started_at": STAMP, "ended_at": STAMP,
    "scenarios": list,
}  # fmt: skip
SCENARIO: Mapping[str, Any] = {
    "id": str, "variant": str, "title": str, "test": str, "planted": (str, type(None)), "faulted": bool,
    "nets_removed": list, "wrong_without_fault": bool, "expected": str, "verdict": str, "as_expected": bool,
    "reason": str, "doubts": list, "duration_s": float, "phases_s": dict.fromkeys(PHASES, float), "faults": list,
    "counts": dict.fromkeys(COUNTS, int), "witnesses": dict, "anomalies": dict, "recovery_s": dict, "times": dict,
    "directory": str, "replay": str,
}  # fmt: skip
FAULT: Mapping[str, Any] = {
    "name": str, "target": str, "injected_at": STAMP, "bitten_at": STAMP, "healed_at": STAMP,
    "receipt": {"source": str, "before": str, "after": str},
}  # fmt: skip


def departures(value: Any, shape: Any, *, at: str = "run") -> list[str]:
    """Where a JSON value has another shape than this; empty when it fits."""
    if isinstance(shape, Mapping):
        if not isinstance(value, dict) or value.keys() != shape.keys():
            return [f"{at}: keys {sorted(value) if isinstance(value, dict) else value}"]
        return [found for name in shape for found in departures(value[name], shape[name], at=f"{at}.{name}")]
    if shape is STAMP:
        try:
            return [] if datetime.fromisoformat(value).utcoffset() is not None else [f"{at}: {value} has no offset"]
        except (TypeError, ValueError):
            return [f"{at}: {value} is no stamp"]
    return [] if isinstance(value, shape) else [f"{at}: {value!r} is no {shape}"]


def scenario() -> ScenarioRecord:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    fault = Injected(
        name="kill_worker", target="worker-1", injected_at=at, bitten_at=at, healed_at=at,
        receipt=Receipt(source="process table", before="runs", after="redis://:geheim@host:1/0 gone"),
    )  # fmt: skip
    return ScenarioRecord(
        row=Row(id="W6", title="worker killed", variant="v"), test="t.py::t", planted="no_sweeper", faulted=True,
        nets_removed=("sweeper",), wrong_without_fault=False, expected="lost", verdict=Verdict.INVALID, duration_s=1.0,
        phases_s={"work": 1.5}, faults=(fault,), counts={"lost": 30}, witnesses={"seen": at, "many": (1, "x")},
        anomalies=tuple(Anomaly(kind=Kind.LOST, summary=f"s{n}", ids={"sample": str(n)}) for n in range(30)),
        doubts=(), recovery_s={"quiet_after_heal": 1.0}, replay="lab chaos", times={}, directory="W6-v",
    )  # fmt: skip


def written(tmp_path: Path, *, patch: Mapping[str, Any] | None = None) -> dict[str, Any]:
    record = RunRecord(
        directory=tmp_path, driver="processes", seed=7, argv=["lab", "--url=redis://:geheim@h/0"], times={}, root=ROOT,
        scenarios=[scenario()], patch=patch, code=ExitCode.INVALID,
    )  # fmt: skip
    content: dict[str, Any] = json.loads(record.write().read_text())
    return content


def test_the_shape_is_the_documented_one(tmp_path: Path) -> None:
    run = written(tmp_path)
    assert departures(run, RUN) == []
    assert departures(run["scenarios"][0], SCENARIO) == []
    assert departures(run["scenarios"][0]["faults"][0], FAULT) == []
    documented = (ROOT / "docs" / "run-json.md").read_text()
    assert [name for name in (*RUN, *SCENARIO, *FAULT) if f"`{name}`" not in documented] == []


@pytest.mark.parametrize(
    "breakage",
    [{"schema": "1"}, {"git": {"revision": "r"}}, {"started_at": "2026-01-01T00:00:00"}, {"extra": 1}],
    ids=["type", "missing", "no offset", "unknown"],
)
def test_another_shape_is_noticed(breakage: dict[str, Any], tmp_path: Path) -> None:
    assert departures({**written(tmp_path), **breakage}, RUN)


def test_patch_is_there_only_with_a_patch(tmp_path: Path) -> None:
    assert "patch" not in written(tmp_path)
    block = {"file": "f.diff", "caught_by": None}
    assert written(tmp_path, patch=block)["patch"] == block


def test_the_first_twenty_anomalies_are_named_and_all_are_counted(tmp_path: Path) -> None:
    lost = written(tmp_path)["scenarios"][0]["anomalies"]["lost"]
    assert (lost["count"], len(lost["first"]), lost["first"][0]) == (30, 20, {"summary": "s0", "ids": {"sample": "0"}})


def test_those_that_are_not_named_are_counted(tmp_path: Path) -> None:
    found = named(Kind.LOST, [(f"s{number}", {}) for number in range(NAMED + 100)])
    record = RunRecord(
        directory=tmp_path, driver="processes", seed=7, argv=[], times={}, root=ROOT,
        scenarios=[replace(scenario(), anomalies=(*found[:3], *found[NAMED:]))], code=ExitCode.INVALID,
    )  # fmt: skip
    lost = json.loads(record.write().read_text())["scenarios"][0]["anomalies"]["lost"]
    assert (lost["count"], [each["summary"] for each in lost["first"]]) == (103, ["s0", "s1", "s2"])


def test_no_secret_is_written(tmp_path: Path) -> None:
    written(tmp_path)
    assert "geheim" not in (tmp_path / "run.json").read_text()
    assert redact("postgres://app:geheim@db/app?x=1") == "postgres://app:***@db/app?x=1"
    assert redact("Authorization: Bearer abc.def") == "Authorization: Bearer ***"
    assert (redact_env("OPERATOR_TOKEN", "t"), redact_env("BUILD_ID", "b")) == ("***", "b")


def test_as_expected_needs_the_declared_kind() -> None:
    caught = scenario()
    assert caught.is_as_expected()
    assert replace(caught, expected="late", verdict=Verdict.SKIPPED).is_as_expected()
    assert not replace(caught, expected="late").is_as_expected()
    assert not replace(caught, verdict=Verdict.VALID).is_as_expected()
    assert caught.label() == "W6[v] × no_sweeper"
    assert replace(caught, faulted=False).label() == "W6[v] × no_sweeper, no fault"


def test_what_is_lost_is_named_before_what_follows_from_it() -> None:
    silent, lost = Anomaly(kind=Kind.SILENT, summary="nothing"), Anomaly(kind=Kind.LOST, summary="gone")
    played = replace(scenario(), anomalies=(silent, lost), doubts=("a doubt",))
    assert played.gravest() == lost
    assert played.reason() == "lost: gone"
    assert caught_by([played]) == Caught(label=played.label(), id="W6", kind="lost", summary="gone")
    assert replace(played, anomalies=()).reason() == "a doubt"


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    first, second = new_run_directory(tmp_path), new_run_directory(tmp_path)
    assert first != second
    assert (tmp_path / "reports" / "latest").resolve() == second
