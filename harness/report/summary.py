"""The job summary: what a CI job shows of a run, as GitHub-flavoured Markdown."""

from __future__ import annotations

from pathlib import Path

from harness.anomaly import gravity
from harness.report.record import RunRecord, ScenarioRecord, read
from harness.report.story import headline

SUMMARY_FILE = "summary.md"
SIGNS = {"VALID": "✅", "INVALID": "❌", "INCONCLUSIVE": "⚠️", "SKIPPED": "➖"}
FIRST_ANOMALIES = 10


def write_summary(run_directory: Path) -> Path:
    """Write `summary.md` beside `run.json`; returns its path. Raises: LabError when the directory holds no run."""
    path = run_directory / SUMMARY_FILE
    path.write_text(render_summary(read(run_directory)), encoding="utf-8")
    return path


def render_summary(run: RunRecord) -> str:
    """The verdict, what is wrong, and every scenario in a table."""
    told = headline(run)
    lines = [f"## {SIGNS[run.verdict]} {run.verdict}: {_cell(told.title)}", ""]
    lines += [f"{_cell(sentence)}  " for sentence in told.sentences]
    lines += ["", " · ".join(f"{figure.name} **{_cell(figure.value)}**" for figure in told.figures), ""]
    lines += _anomalies(run)
    lines += ["| | Scenario | What | Expected | Anomalies | Acknowledged | Present | Lost | Took |"]
    lines += ["|---|---|---|---|---|---:|---:|---:|---:|"]
    lines += [_row(scenario) for scenario in run.scenarios]
    replays = [one.replay for one in run.scenarios if not one.is_as_expected and one.replay]
    if replays:
        lines += ["", "Replay:", "", "```sh", *replays[:5], "```"]
    lines += ["", "The whole story is in `report.html` among the job's artifacts."]
    return "\n".join(lines) + "\n"


def _anomalies(run: RunRecord) -> list[str]:
    found = [
        (scenario, anomaly)
        for scenario in run.scenarios
        if not scenario.planted
        for group in scenario.anomalies
        for anomaly in group.first
    ]
    if not found:
        return []
    found.sort(key=lambda item: gravity(item[1].kind))
    total = sum(scenario.anomaly_count for scenario in run.scenarios if not scenario.planted)
    lines = [f"### Anomalies: {total:,}", ""]
    for scenario, anomaly in found[:FIRST_ANOMALIES]:
        ids = ", ".join(f"{name} `{value}`" for name, value in anomaly.ids.items())
        lines.append(
            f"- **{anomaly.kind}** in {scenario.label}: {_cell(anomaly.summary)}" + (f" ({ids})" if ids else "")
        )
    if total > FIRST_ANOMALIES:
        lines.append(f"- … the first {min(len(found), FIRST_ANOMALIES)} of {total:,}")
    return [*lines, ""]


def _row(scenario: ScenarioRecord) -> str:
    kinds = ", ".join(f"{group.kind} × {group.count:,}" for group in scenario.anomalies) or "none"
    counts = [f"{scenario.counts[name]:,}" if name in scenario.counts else "–" for name in ("acknowledged", "present")]
    expected = scenario.expected + ("" if scenario.is_as_expected else " **not met**")
    cells = (
        f"{SIGNS[scenario.verdict]} {scenario.verdict}",
        scenario.label,
        scenario.title,
        expected,
        kinds,
        *counts,
        f"{scenario.counts.get('lost', 0):,}",
        f"{scenario.duration_s:.1f} s",
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """One line that breaks no table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
