"""report.html: one self-contained file, written from what a run left behind.

The charting library comes from its installed package. It and the columns of every scenario are embedded compressed and
are unpacked by the page when a chart comes into view, so that a run of a hundred scenarios opens at once.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.anomaly import gravity
from harness.report import glossary, story
from harness.report.record import PATCH_FILE, VERDICTS, RunRecord, ScenarioRecord, read
from harness.report.views import Table, bounds, pack, view

SHOWN_SCENARIOS = 3
"""Of so many scenarios the anomalies stand at the top of the page."""
FEW_SCENARIOS = 6
"""So many need no overview beside their table."""
REPORT_FILE = "report.html"


def write_page(run_directory: Path) -> Path:
    """Write `report.html` beside `run.json`; returns its path. Idempotent.

    Raises: LabError when the directory holds no run.
    """
    run = read(run_directory)
    path = run_directory / REPORT_FILE
    path.write_text(render(run, siblings=_siblings(run_directory)), encoding="utf-8")
    return path


def render(run: RunRecord, *, siblings: Sequence[str] = ()) -> str:
    """The page. `siblings` are files beside it that it may link to."""
    opened = _first_to_open(run)
    views = [view(scenario, is_open=scenario is opened, times=run.times) for scenario in run.scenarios]
    surprises_first = sorted(views, key=attrgetter("scenario.is_as_expected"))
    page = _environment().get_template("report.html.j2")
    return page.render(
        run=run,
        kind="planted defects" if run.is_planted else "scenarios",
        headline=story.headline(run),
        anomalies=_anomalies(run),
        shown=[each for each in surprises_first if each.kinds][:SHOWN_SCENARIOS],
        is_few=len(run.scenarios) <= FEW_SCENARIOS,
        command_line=_command(run),
        changed=glossary.WORDS["changed"],
        families=_families(run),
        verdicts=[verdict for verdict in VERDICTS if run.count(verdict)],
        views=views,
        environment=_tables_of_run(run),
        bounds=Table("Times of the stack", bounds(run.times)),
        files=siblings,
        glossary=tuple(glossary.WORDS.items()),
        address=glossary.address,
        style=Markup(_template_text("report.css")),
        script=Markup(_template_text("report.js")),
        library=_library() if any(each.has_timeline for each in views) else "",
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["explained"] = glossary.explained
    return environment


def _template_text(name: str) -> str:
    return (files("harness.report") / "templates" / name).read_text(encoding="utf-8")


def _library() -> str:
    """The charting library from its package, packed."""
    return pack((files("plotly") / "package_data" / "plotly.min.js").read_bytes())


def _first_to_open(run: RunRecord) -> ScenarioRecord | None:
    """The scenario that a reader wants to see first: one that is not as expected, else the first INVALID, else any."""
    order = [
        *(one for one in run.scenarios if not one.is_as_expected),
        *(one for one in run.scenarios if one.verdict == "INVALID"),
        *run.scenarios,
    ]
    return order[0] if order else None


def _tables_of_run(run: RunRecord) -> tuple[Table, ...]:
    identity = (("run", run.name), ("driver", run.driver), ("seed", run.seed), ("revision", run.revision))
    dirty = (("work tree", "changed since that revision" if run.is_dirty else "clean"),)
    tables = (
        Table("Run", identity + dirty),
        Table("Versions", tuple(run.versions.items())),
    )
    return tuple(table for table in tables if table.rows)


def _command(run: RunRecord) -> str:
    """The command of the whole run; empty when it played one scenario, which tells its own."""
    others = [scenario for scenario in run.scenarios if scenario.id != "CONTROL"]
    return shlex.join(("lab", *run.argv[1:])) if len(others) != 1 or not others[0].replay else ""


def _anomalies(run: RunRecord) -> dict[str, str]:
    """How many anomalies there are of each kind in the whole run, gravest kind first."""
    groups = [group for scenario in run.scenarios for group in scenario.anomalies]
    if not groups:
        return {"title": "No anomalies", "intro": "No checker found a counter-example."}
    names = sorted({group.kind for group in groups}, key=gravity)
    total = sum(group.count for group in groups)
    by_kind = ", ".join(f"{sum(group.count for group in groups if group.kind == name):,} {name}" for name in names)
    harmed = [one.label for one in sorted(run.scenarios, key=attrgetter("is_as_expected")) if one.anomalies]
    intro = f"In all: {by_kind}."
    if len(harmed) > SHOWN_SCENARIOS:
        intro += f" Those of {', '.join(harmed[:SHOWN_SCENARIOS])} are here, those of {len(harmed) - SHOWN_SCENARIOS}"
        intro += " more scenarios in their own parts."
    return {
        "title": f"Anomalies: {total:,}",
        "intro": intro + (" Planted defects are meant to cause them." if run.is_planted else ""),
    }


def _families(run: RunRecord) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(glossary.family(scenario.id) for scenario in run.scenarios))
    return [
        {"name": name, "scenarios": [one for one in run.scenarios if glossary.family(one.id) == name]} for name in names
    ]


def _siblings(run_directory: Path) -> list[str]:
    names = ("run.json", "junit.xml", "summary.md", PATCH_FILE, "load.json", "locust/locust.html")
    return [name for name in names if (run_directory / name).is_file()]
