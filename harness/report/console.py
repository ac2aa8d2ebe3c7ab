"""The verdict table that a run ends with on a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from harness.report.live import VERDICT_STYLES
from harness.report.record import RunRecord, ScenarioRecord


def verdict_table(run: RunRecord) -> Table:
    """Every scenario with its verdict and figures; what did not end as declared says so."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("verdict", "scenario", "expected"):
        table.add_column(name, no_wrap=True)
    table.add_column("anomalies", overflow="fold")
    for name in ("acknowledged", "present", "lost", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    for scenario in run.scenarios:
        table.add_row(*_cells(scenario))
    return table


def first_anomaly(run: RunRecord) -> str:
    """The first anomaly in words, of a scenario that did not end as declared; empty when there is none."""
    for scenario in run.scenarios:
        if scenario.is_as_expected:
            continue
        for group in scenario.anomalies:
            if group.first:
                ids = ", ".join(f"{name} {value}" for name, value in group.first[0].ids.items())
                return f"{scenario.label}: {group.kind}: {group.first[0].summary}" + (f" ({ids})" if ids else "")
        if scenario.doubts:
            return f"{scenario.label}: {scenario.verdict}: {scenario.doubts[0]}"
    return ""


def _cells(scenario: ScenarioRecord) -> tuple[Text, ...]:
    counts = scenario.counts
    is_counted = bool(counts.get("attempted"))
    expected = Text(scenario.expected)
    if not scenario.is_as_expected:
        expected.append(" not met", style="bold red")
    return (
        Text(scenario.verdict, style=VERDICT_STYLES.get(scenario.verdict, "")),
        Text(scenario.label),
        expected,
        Text(", ".join(f"{group.kind} × {group.count:,}" for group in scenario.anomalies) or "–"),
        *(Text(f"{counts.get(name, 0):,}" if is_counted else "–") for name in ("acknowledged", "present", "lost")),
        Text(f"{scenario.duration_s:.1f} s"),
    )
