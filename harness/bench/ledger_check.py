"""Checks one ledger against one Postgres with the lab's own loaders and checkers, and says what that took.

Run as a program, in a process of its own, so that its peak is its own: `python -m harness.bench.ledger_check DIR DSN`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from contextlib import closing
from pathlib import Path

from harness.checkers.suite import check_all
from harness.evidence.evidence import Evidence, Expectations
from harness.evidence.files import load_ledger
from harness.evidence.observe import observe_postgres
from harness.evidence.tables import create_tables, open_tables

KIB_PER_MIB = 1024


def check_ledger(directory: Path, dsn: str) -> dict[str, object]:
    """Load, observe, check: seconds of each, peak memory, and what the checkers found."""
    marks = [time.monotonic()]
    with closing(open_tables()) as tables:
        create_tables(tables)
        load_ledger(tables, directory)
        marks.append(time.monotonic())
        observe_postgres(tables, dsn)
        marks.append(time.monotonic())
        # No control: nobody logged what was written straight into the tables.
        expectations = Expectations(is_plain_load=True, has_faults=False)
        findings = check_all(Evidence(tables=tables, expectations=expectations))
        marks.append(time.monotonic())
    return {
        "took_s": marks[-1] - marks[0],
        "load_s": marks[1] - marks[0],
        "observe_s": marks[2] - marks[1],
        "check_s": marks[3] - marks[2],
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB,
        "samples": findings.counts.get("attempted", 0),
        "present": findings.counts.get("present", 0),
        "anomalies": [each.summary for each in findings.anomalies[:20]],
        "doubts": list(findings.doubts),
    }


def main() -> None:
    """Print the findings as JSON."""
    print(json.dumps(check_ledger(Path(sys.argv[1]), sys.argv[2])))


if __name__ == "__main__":
    main()
