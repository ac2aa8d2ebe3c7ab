"""Verdicts and exit codes: where several apply 3 wins, then 1, then 2; and a run without its control proves nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.anomaly import Anomaly, Kind
from harness.rows.row import Row
from harness.run.campaign import Campaign
from harness.run.plugin import Mode, Selection, run_code
from harness.run_record import RunRecord, ScenarioRecord
from harness.verdict import ExitCode, Verdict, judge, worst

V, I_, U, L = ExitCode.VALID, ExitCode.INVALID, ExitCode.INCONCLUSIVE, ExitCode.LAB_FAILED


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((V, V), V), ((V, U), U), ((U, I_, V), I_), ((I_, L, U), L), ((), L)],
    ids=["valid", "inconclusive", "invalid", "lab failed", "nothing"],
)
def test_the_worst_code_wins(codes: tuple[ExitCode, ...], expected: ExitCode) -> None:
    assert worst(codes) is expected


@pytest.mark.parametrize(
    ("anomalies", "doubts", "expected"),
    [(0, 0, Verdict.VALID), (1, 0, Verdict.INVALID), (0, 1, Verdict.INCONCLUSIVE), (1, 1, Verdict.INVALID)],
    ids=["clean", "anomaly", "doubt", "both"],
)
def test_an_anomaly_outweighs_a_doubt(anomalies: int, doubts: int, expected: Verdict) -> None:
    assert judge(anomalies=anomalies, doubts=doubts) is expected


def played(id: str, verdict: Verdict = Verdict.VALID, **changes: object) -> ScenarioRecord:
    made = ScenarioRecord(
        row=Row(id=id, title="t"), test="t", planted=None, faulted=True, nets_removed=(), wrong_without_fault=False,
        expected="VALID", verdict=verdict, duration_s=1, phases_s={}, faults=(), counts={}, witnesses={},
        anomalies=(), doubts=(), recovery_s={}, replay="", times={}, directory=id,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # fields by name, given by the tests below


def code_of(tmp_path: Path, *scenarios: ScenarioRecord, planned: list[str], is_strict: bool = False) -> ExitCode:
    record = RunRecord(directory=tmp_path, driver="processes", seed=1, argv=(), times={}, root=tmp_path)
    record.scenarios.extend(scenarios)
    return run_code(record, planned=planned, is_strict=is_strict)[0]


LOST = (Anomaly(kind=Kind.LOST, summary="gone"),)
CASES = {
    "all valid": ((played("CONTROL"), played("W6")), False, V),
    "invalid": ((played("CONTROL"), played("W6", Verdict.INVALID, anomalies=LOST)), False, I_),
    "inconclusive": ((played("CONTROL"), played("W6", Verdict.INCONCLUSIVE)), False, U),
    "one never ran": ((played("CONTROL"),), False, L),
    "no control": ((played("W6"),), False, L),
    "control inconclusive": ((played("CONTROL", Verdict.INCONCLUSIVE),), False, U),
    "control invalid": ((played("CONTROL", Verdict.INVALID, anomalies=LOST),), False, I_),
    "control that the lab failed": ((played("CONTROL", Verdict.INCONCLUSIVE, lab_failed=True),), False, L),
    "lab failed": ((played("CONTROL"), played("W6", Verdict.INCONCLUSIVE, lab_failed=True)), False, L),
    "skipped": ((played("CONTROL"), played("W6", Verdict.SKIPPED)), False, V),
    "skipped under --require": ((played("CONTROL"), played("W6", Verdict.SKIPPED)), True, U),
}


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_exit_code_of_a_run(case: str, tmp_path: Path) -> None:
    scenarios, is_strict, expected = CASES[case]
    assert code_of(tmp_path, *scenarios, planned=["CONTROL", "W6"], is_strict=is_strict) is expected


PLANTED = {
    "caught": (played("W6", Verdict.INVALID, planted="d", expected="lost", anomalies=LOST), V),
    "caught for another reason": (played("W6", Verdict.INVALID, planted="d", expected="late", anomalies=LOST), I_),
    "not caught": (played("W6", Verdict.VALID, planted="d", expected="lost"), I_),
    "could not tell": (played("W6", Verdict.INCONCLUSIVE, planted="d", expected="lost"), U),
}


@pytest.mark.parametrize("case", PLANTED, ids=list(PLANTED))
def test_exit_code_of_a_planted_defect(case: str, tmp_path: Path) -> None:
    scenario, expected = PLANTED[case]
    assert code_of(tmp_path, played("CONTROL"), scenario, planned=["CONTROL", scenario.label()]) is expected


def test_planted_runs_that_were_skipped_are_neither_caught_nor_missed(tmp_path: Path) -> None:
    campaign = Campaign(selection=Selection(mode=Mode.DEFECTS), driver="processes", seed=1)
    record = RunRecord(directory=tmp_path, driver="processes", seed=1, argv=(), times={}, root=tmp_path)
    planted: dict[str, object] = {"planted": "no_sweeper", "expected": "lost"}
    record.scenarios += [
        played("W6", Verdict.INVALID, anomalies=LOST, **planted),
        *(played(id, verdict, **planted) for id, verdict in (("W5", Verdict.VALID), ("W19", Verdict.SKIPPED))),
    ]
    assert campaign.last_line(record, ExitCode.INVALID, None).startswith("INVALID: 1 of 2 planted runs as declared")
