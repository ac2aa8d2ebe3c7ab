"""The README's table of scenarios, written from the committed sample run: `python -m harness.report.readme`."""

from __future__ import annotations

import sys
from typing import Final

from harness.errors import LabError
from harness.lab_home import PROJECT
from harness.report.record import RunRecord, ScenarioRecord, read

SAMPLE: Final = PROJECT / "reports" / "sample"
BEGIN: Final = "<!-- sample: written by `python -m harness.report.readme` from reports/sample/run.json -->"
END: Final = "<!-- /sample -->"


def with_sample(text: str, run: RunRecord) -> str:
    """The README's text with the table between its two marks. Raises: LabError when a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise LabError(f"README.md: the marks {BEGIN!r} and {END!r} are not both there")
    return f"{before}{BEGIN}\n{sample_table(run)}\n{END}{after}"


def sample_table(run: RunRecord) -> str:
    """One row a scenario: what happens to the stack, the verdict, and the figures behind it."""
    stores = ", ".join(
        f"{name} {run.versions[name]}" for name in ("celery", "postgres", "redis") if name in run.versions
    )
    return "\n".join(
        [
            f"A run of `make chaos DRIVER={run.driver}`, seed {run.seed}, {stores}: **{run.verdict}**.",
            "",
            "| scenario | what is done to the stack | verdict | acknowledged | lost | doubled |",
            "|---|---|---|---:|---:|---:|",
            *(_row(each) for each in run.scenarios),
        ]
    )


def _row(scenario: ScenarioRecord) -> str:
    counts = scenario.counts
    figures = [
        f"{counts[name]:,}" if counts.get("acknowledged") else "–" for name in ("acknowledged", "lost", "duplicated")
    ]
    return "| " + " | ".join([scenario.label, scenario.title, scenario.verdict, *figures]) + " |"


def main() -> None:
    """Rewrite README.md in place."""
    readme = PROJECT / "README.md"
    readme.write_text(with_sample(readme.read_text(encoding="utf-8"), read(SAMPLE)), encoding="utf-8")
    sys.stdout.write(f"{readme}: table of {SAMPLE.relative_to(PROJECT)}\n")


if __name__ == "__main__":
    main()
