"""Annotations: one line per scenario that did not end as declared, which GitHub shows at the scenario's source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.report.record import RunRecord, ScenarioRecord

_FUNCTION = re.compile(r"^\s*(?:async )?def (?P<name>\w+)\(", re.MULTILINE)


def workflow_commands(run: RunRecord, *, root: Path) -> Iterator[str]:
    """Workflow commands, to be printed by a job. `root` is the checkout that the tests' node ids are relative to."""
    for scenario in run.scenarios:
        if scenario.is_as_expected:
            continue
        kind = "warning" if scenario.verdict == "INCONCLUSIVE" else "error"
        path, line = _place(scenario, root)
        where = f"file={_property(path)},line={line}," if path else ""
        title = _property(f"{scenario.label}: {scenario.verdict}, expected {scenario.expected}")
        yield f"::{kind} {where}title={title}::{_message(_reason(scenario))}"


def _reason(scenario: ScenarioRecord) -> str:
    first = [
        f"{group.kind} × {group.count}" + (f": {group.first[0].summary}" if group.first else "")
        for group in scenario.anomalies
    ]
    replay = [f"replay: {scenario.replay}"] if scenario.replay else []
    return "\n".join([*(first or scenario.doubts or ("no anomaly was named",)), *replay])


def _place(scenario: ScenarioRecord, root: Path) -> tuple[str, int]:
    """File and line of the scenario's function; line 1 when the function is not found, no file when that is not."""
    path, _, test = scenario.test.partition("::")
    source = root / path
    if not path or not source.is_file():
        return "", 1
    text = source.read_text(encoding="utf-8")
    wanted = test.rpartition("::")[2].partition("[")[0]
    for match in _FUNCTION.finditer(text):
        if match["name"] == wanted:
            return path, text.count("\n", 0, match.start("name")) + 1
    return path, 1


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
