"""How a load run ends: written down, shown, and said in one last line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from harness import report
from harness.load.figures import FIGURES_FILE, Figures
from harness.load.order import LoadOrder
from harness.redaction import redact
from harness.report.console import first_anomaly, verdict_table
from harness.report.record import read
from harness.run_record import RunRecord, ScenarioRecord
from harness.verdict import verdict_of

COUNTED: Final = ("acknowledged", "present", "rejected", "lost", "duplicated")


def finish(record: RunRecord, console: Console, *, last_line: str) -> None:
    """Write the run down, show it, and print the verdict last."""
    record.write()
    report.write(record.directory)
    run = read(record.directory)
    console.print(verdict_table(run))
    console.print(first_anomaly(run), soft_wrap=True, highlight=False)
    where = record.directory.relative_to(record.root)
    console.print(f"report: {where}/report.html, Locust's: {where}/locust/", soft_wrap=True, highlight=False)
    console.print(last_line, soft_wrap=True, highlight=False, markup=False)


def write_figures(directory: Path, *, order: LoadOrder, figures: Figures) -> None:
    """Write load.json: what was ordered, without secrets, and what was measured."""
    targets = {name: redact(url) for name, url in order.targets.items()}
    body = {"order": {**orjson.loads(order.as_text()), "targets": targets}, "figures": figures.as_json()}
    (directory / FIGURES_FILE).write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2))


def last_line(record: RunRecord, played: ScenarioRecord, figures: Figures | None) -> str:
    """The verdict with its figures."""
    word = "LAB FAILED" if played.lab_failed else verdict_of(record.code).value
    counts = ", ".join(f"{played.counts.get(name, 0):,} {name}" for name in COUNTED)
    measured = figures.line() if figures is not None else "nothing was measured"
    return f"{word}: {played.label()}: {measured}; {counts}; driver {record.driver}, seed {record.seed}"
